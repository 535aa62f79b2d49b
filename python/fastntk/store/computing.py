"""Compute a kernel into a store, or go on with one: chunks that are missing or damaged, each whole or not at all."""

from __future__ import annotations

import errno
import math
import os
import shutil
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .. import _core
from .._checks.arguments import one_of, true_or_false, whole_number
from .._checks.progress import Progress, check_progress, portions
from .._checks.shown import shown
from .._machine import runtime
from ..kernels.blocks import KernelMatrix, largest_step, lengths, memory_limit, pairs_of
from ..networks.description import describe, describe_data, layers_of
from ..networks.sequential import Sequential, checked
from .folder import check_is_ours, is_new, locked, remove_leftovers
from .kernel import StoredKernel
from .layout import ATTRIBUTE, FORMAT, DamagedError, Layout, load, need_packages, sign

_CHUNK = 4096
_LEAST_CHUNK = 32

#: Seconds on a core that a chunk of it may take: what a kill loses.
_LONGEST = 120.0


def compute(
    net: Sequential,
    X: ArrayLike,
    path: str | os.PathLike[str],
    Y: ArrayLike | None = None,
    *,
    kind: Literal["nngp", "ntk"] = "ntk",
    dtype: DTypeLike | None = None,
    resume: bool = True,
    half: bool = False,
    chunk: int | None = None,
    max_memory: int | str | None = None,
    progress: Progress = False,
) -> StoredKernel:
    """Compute a kernel into a Zarr v3 store, or go on with one that was interrupted.

    Parameters
    ----------
    net : Sequential
    X : array_like of shape (n, d), or (n, positions ..., channels), or Graphs, Sequences
        Samples, as for `Sequential.nngp`; an np.memmap is read as it is needed.
    path : path-like
        The store, a folder.
    Y : array_like of shape (m, d), or (m, positions ..., channels), optional
        Other samples; without them the kernel of X with itself.
    kind : {"nngp", "ntk"}, default "ntk"
    dtype : {"float32", "float64"}, optional
        Precision of the computation and of the store; that of X by default.
    resume : bool, default True
        Go on with what is there of the same kernel: only chunks that are missing, cut short or changed are computed.
        False: refuse a path that exists.
    half : bool, default False
        Of a symmetric kernel, store chunks on and above the diagonal only. `StoredKernel` reads it as a whole.
    chunk : int, optional
        Side of a chunk; some 4096 by default, less where `max_memory` asks for it, or where a chunk would take more
        than two minutes on a core, as kernels of images do: what is not finished is lost when the process is killed. Of
        a store that is there it must be its own, or left out.
    max_memory : int or str, optional
        Bytes, or "4 GiB", that it may take beside X and Y; a quarter of what is free by default.
    progress : bool or callable, default False
        True shows a bar, with pairs per second and time left; a callable is called with the fraction done.

    Returns
    -------
    StoredKernel

    Raises
    ------
    FileExistsError
        If the path is there with ``resume=False``, or is a file, or is in use by another process.
    ValueError
        If the folder holds what is not of a store; if the store is of other data, another network, kind or dtype, was
        begun by another version or on another instruction set, or its zarr.json is damaged: the sentence says which. If
        an activation is a Python function that another process could not recognise.
    OSError
        If the disk is too small, before work starts where that can be known. What is written stays, and the same call
        goes on from there; so it does after Ctrl-C, or when the process was killed.

    Notes
    -----
    The result has the same bits however often it was interrupted. Of closed forms they are those of ``net.ntk(X,
    univariate=False)``; expansions (`Activation`) agree to their tolerance.

    To go on, every chunk that is there is read once and its checksum compared: some seconds for 10 GB.

    A Python function in an activation is known by its code, and that of what it refers to, down to what was installed;
    and by its values. Nothing but what this function has made is ever removed from the folder.

    Examples
    --------
    >>> import fastntk, numpy as np, tempfile
    >>> net, X = fastntk.mlp(depth=3, activation="relu"), np.eye(5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stored = fastntk.store.compute(net, X, folder + "/K.zarr")
    ...     K = np.asarray(stored)
    >>> bool((K == net.ntk(X)).all())
    True
    """
    need_packages()
    checked(net)
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be that of a store, got {shown(path)}: other samples come after it.")
    one_of(kind, "kind", ("nngp", "ntk"))
    check_progress(progress)
    resume, half = true_or_false(resume, "resume"), true_or_false(half, "half")
    limit = memory_limit(max_memory)
    folder = Path(path)
    if folder.parts[:1] == ("~",):
        raise ValueError(f"{folder} has a ~, which shells know: pass Path({str(folder)!r}).expanduser().")
    if folder.exists() and not resume:
        raise FileExistsError(f"{folder} exists; pass resume=True to go on with it, or remove it.")
    check_is_ours(folder)
    matrix = KernelMatrix(net.layers, X, Y, kind, dtype)
    if matrix.by_nodes:
        raise ValueError(
            "a kernel between the nodes of one sample is computed as a whole, so that a store of it has nothing to go "
            "on with: out=np.memmap(...) writes it to disk."
        )
    if half and not matrix.symmetric:
        raise ValueError("half=True is for a symmetric kernel, without Y.")
    largest = largest_step(limit, matrix.dtype.itemsize)
    if chunk is not None and whole_number(chunk, "chunk", least=1) > largest:
        raise ValueError(f"chunk={chunk} needs more than max_memory, which allows for {largest}.")
    about = _describe(net, matrix, half=half)
    if folder.exists() and not is_new(folder):
        _compare(load(folder), about, matrix, chunk)  # before anything is written to a folder that is something else
    with locked(folder):
        if is_new(folder):
            most = min(_CHUNK, largest, _side_within(_LONGEST, matrix.pair_seconds))
            _create(folder, matrix, about, chunk or _even(max(matrix.shape), most))
        layout = load(folder, "r+")
        _compare(layout, about, matrix, chunk)
        if max_memory is not None and math.prod(layout.chunk) > largest**2:
            raise ValueError(
                f"{folder} has chunks of shape {layout.chunk}, which need more than max_memory: that allows for a side "
                f"of {largest}."
            )
        remove_leftovers(layout.folder)
        try:
            _fill(layout, matrix, about, progress)
        except KeyboardInterrupt as end:
            end.add_note(f"{folder} has what was computed so far: the same call goes on with it.")
            raise
    return StoredKernel(load(layout.folder))  # wherever `progress` has gone


def _side_within(seconds: float, pair_seconds: float) -> int:
    """Side of a chunk that takes so long on a core."""
    return max(_LEAST_CHUNK, math.isqrt(int(seconds / pair_seconds))) if pair_seconds else _CHUNK


def _even(length: int, most: int) -> int:
    """Side of chunks that divide a length evenly: the last one is stored at full size."""
    return max(1, math.ceil(length / max(1, math.ceil(length / most))))


def _describe(net: Sequential, matrix: KernelMatrix, *, half: bool) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": _core.version,
        "instruction_set": runtime.instruction_set(),
        "kind": matrix.kind,
        "network": describe(net),
        "data": {name: describe_data(x) for name, x in matrix.inputs.items()},
        "half": half,
    }


def _chunks(matrix: KernelMatrix, most: int) -> tuple[int, ...]:
    """Shape of chunks of that side."""
    return tuple(min(most, max(1, length)) for length in matrix.shape)


def _create(folder: Path, matrix: KernelMatrix, about: dict[str, Any], most: int) -> None:
    import zarr
    from zarr.codecs import Crc32cCodec

    chunk = _chunks(matrix, most)
    zarr.create_array(
        folder,
        shape=matrix.shape,
        dtype=matrix.dtype,
        chunks=chunk,
        compressors=Crc32cCodec(),  # kernels do not compress
        fill_value=np.nan,
        attributes={ATTRIBUTE: {**about, "sha256": sign(about, matrix.shape, matrix.dtype.name, chunk)}},
        config={"write_empty_chunks": True},
    )


def _compare(layout: Layout, wanted: dict[str, Any], matrix: KernelMatrix, chunk: int | None) -> None:
    """Refuse a store of something else, and say of what."""
    known = layout.about
    differences = [
        f"its {key} is {known[key]!r}, not {wanted[key]!r}" for key in ("kind", "half") if known[key] != wanted[key]
    ]
    if layout.dtype != matrix.dtype:
        differences.append(f"its dtype is {layout.dtype}, not {matrix.dtype}")
    if known["network"] != wanted["network"]:
        layers = zip_longest(*(layers_of(about["network"]) for about in (known, wanted)), fillvalue="missing")
        differences += [
            f"layer {i} of its network is {old}, not {new}" for i, (old, new) in enumerate(layers) if old != new
        ][:1]
    for name in ("X", "Y"):
        old, new = known["data"].get(name), wanted["data"].get(name)
        if old is None or new is None:
            differences += [f"it was made {'with' if old else 'without'} {name}"] if old != new else []
        else:
            differences += [
                f"the {key} of {name} was {old[key]}, not {new[key]}" if key != "sha256" else f"{name} had other values"
                for key in ("shape", "dtype", "sha256")
                if old[key] != new[key]
            ][:1]
    if differences:
        raise ValueError(f"{layout.folder} is the store of another kernel: {'; '.join(differences)}.")
    if chunk is not None and layout.array.chunks != _chunks(matrix, chunk):
        raise ValueError(
            f"{layout.folder} has chunks of shape {layout.array.chunks}, not of chunk={chunk}: leave it out to go "
            "on, or remove the store."
        )


def _check_versions(layout: Layout, wanted: dict[str, Any]) -> None:
    """Refuse to add chunks by what may give other last bits."""
    for key in ("version", "instruction_set"):
        known = layout.about[key]
        if known != wanted[key]:
            hint = f"set FASTNTK_ISA={known}" if key == "instruction_set" else f"install {known}"
            raise ValueError(
                f"{layout.folder} was begun with {key.replace('_', ' ')} {known}, and this is {wanted[key]}, whose "
                f"last bits may differ: {hint} to go on with it, or remove it."
            )


def _is_whole(layout: Layout, i: int, j: int) -> bool:
    try:
        layout.read(i, j)
    except DamagedError:
        return False
    return True


def _fill(layout: Layout, matrix: KernelMatrix, about: dict[str, Any], progress: Progress) -> None:
    down, across = layout.grid
    parts = []
    for i in range(down):
        for j in range(i if matrix.symmetric else 0, across):
            both = ((i, j), (j, i)) if matrix.symmetric and not layout.half and i != j else ((i, j),)
            missing = [at for at in both if not _is_whole(layout, *at)]
            if missing:
                parts.append(missing)
    if parts:
        _check_versions(layout, about)
    _check_disk(layout.folder, sum(map(len, parts)) * layout.bytes_per_chunk)
    pairs = [pairs_of(layout.block(*missing[0]), symmetric=matrix.symmetric) for missing in parts]
    with portions(sum(pairs), progress) as portion:
        for number, (missing, count) in enumerate(zip(parts, pairs, strict=True)):
            block = layout.block(min(missing[0]), max(missing[0])) if matrix.symmetric else layout.block(*missing[0])
            value = np.empty(lengths(block), matrix.dtype)
            matrix.write(block, [value], portion(count))
            try:
                for i, j in missing:
                    mirrored = matrix.symmetric and i > j
                    layout.array[layout.block(i, j)] = np.ascontiguousarray(value.T if mirrored else value)
            except OSError as error:
                raise OSError(
                    error.errno,
                    f"{error.strerror or error}; {number} of {len(parts)} blocks are there, and the same call goes on",
                    str(layout.folder),
                ) from error


def _check_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"the kernel needs {needed / 2**30:.1f} GiB more, and {free / 2**30:.1f} GiB of disk are free",
            str(folder),
        )
