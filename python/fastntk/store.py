"""Kernels on disk: Zarr v3 arrays that know what they are of, and that an interrupted run goes on with.

Chunks are written whole or not at all, with a checksum; what is missing reads as NaN until the last one is there.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _core, runtime
from ._shown import shown
from ._validation import one_of, true_or_false, whole_number
from .activations import Activation
from .blocks import Block, KernelMatrix, blocks, largest_step, lengths, memory_limit, pairs_of, portions
from .kernels import Progress, check_progress
from .stack import Stack
from .stored import StoredKernel, chunk_of, shape_of

if TYPE_CHECKING:
    import zarr

    from .layers import Layer

ATTRIBUTE = "fastntk"
_FORMAT = 1
_LOCK = ".lock"
_CHUNK = 4096
_CHECKSUM_BYTES = 4

#: Where the values of an activation that is a Python function are compared.
_PROBE = np.linspace(-8.0, 8.0, 1001)


def compute(
    net: Stack,
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
    X : array_like of shape (n, d)
        Samples, as for `Sequential.nngp`; an np.memmap is read as it is needed.
    path : path-like
        The store, a folder.
    Y : array_like of shape (m, d), optional
        Other samples; without them the kernel of X with itself.
    kind : {"nngp", "ntk"}, default "ntk"
    dtype : {"float32", "float64"}, optional
        Precision of the computation and of the store; that of X by default.
    resume : bool, default True
        Go on with what is there of the same kernel: only missing chunks are computed. False: refuse a path that
        exists.
    half : bool, default False
        Of a symmetric kernel, store chunks on and above the diagonal only. `StoredKernel` reads it as a whole.
    chunk : int, optional
        Side of a chunk; some 4096 by default, less where `max_memory` asks for it.
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
        If the path is there with ``resume=False``, or is something else, or is in use by another process.
    ValueError
        If the store is of other data, another network, kind or dtype, or was begun by another version or on another
        instruction set: the sentence says which.
    OSError
        If the disk is too small, before work starts where that can be known. What is written stays, and the same call
        goes on from there; so it does after Ctrl-C, or when the process was killed.

    Notes
    -----
    The result has the same bits however often it was interrupted. Of closed forms they are those of ``net.ntk(X,
    univariate=False)``; expansions (`Activation`) agree to their tolerance.

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
    import zarr  # noqa: F401  if it is not here it is missed before anything is written

    if not isinstance(net, Stack):
        raise TypeError(f"net must be a Sequential, got {shown(net)}.")
    one_of(kind, "kind", ("nngp", "ntk"))
    check_progress(progress)
    resume, half = true_or_false(resume, "resume"), true_or_false(half, "half")
    limit = memory_limit(max_memory)
    matrix = KernelMatrix(net.layers, X, Y, kind, dtype)
    if half and not matrix.symmetric:
        raise ValueError("half=True is for a symmetric kernel, without Y.")
    largest = largest_step(limit, matrix.dtype.itemsize)
    if chunk is not None and whole_number(chunk, "chunk", least=1) > largest:
        raise ValueError(f"chunk={chunk} needs more than max_memory, which allows for {largest}.")
    about = _describe(net.layers, matrix, half=half)
    folder = Path(path)
    if folder.exists() and not resume:
        raise FileExistsError(f"{folder} exists; pass resume=True to go on with it, or remove it.")
    if folder.is_dir() and not _is_new(folder):
        _read(folder)  # before anything is written to a folder that is something else
    with _locked(folder):
        array = _open_or_create(folder, matrix, about, chunk or _even(max(matrix.shape), min(_CHUNK, largest)))
        _fill(folder, array, matrix, half=half, progress=progress)
        if not array.attrs[ATTRIBUTE]["complete"]:  # type: ignore[index,call-overload]
            array.attrs[ATTRIBUTE] = {**about, "complete": True}
        (folder / _LOCK).unlink()
    return StoredKernel(array, about)


def open(path: str | os.PathLike[str]) -> StoredKernel:
    """Open a finished kernel on disk.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is not a kernel of this library, or chunks are missing or cut short.
    """
    array, about = _read(Path(path))
    done, total = count(path)
    if done < total:
        raise ValueError(
            f"{path} is not finished: {done} of {total} chunks are there. The call that began it goes on with it."
        )
    return StoredKernel(array, about)


def about(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a store says of itself, finished or not: shape, dtype, version, kind, network, data, ...

    Raises
    ------
    FileNotFoundError, ValueError
        As `open`.
    """
    array, known = _read(Path(path))
    return {"shape": list(array.shape), "dtype": array.dtype.name, **known}


def count(path: str | os.PathLike[str]) -> tuple[int, int]:
    """How many chunks of a store are there, and how many there will be."""
    array, known = _read(Path(path))
    parts = list(blocks(shape_of(array), chunk_of(array), symmetric=known["half"]))
    return sum(_is_there(Path(path), array, part) for part in parts), len(parts)


def _even(length: int, most: int) -> int:
    """Side of chunks that divide a length evenly: the last one is stored at full size."""
    return max(1, math.ceil(length / max(1, math.ceil(length / most))))


def _is_new(folder: Path) -> bool:
    """Whether nothing is there but what an interrupted beginning may have left."""
    return all(entry.name == _LOCK or entry.suffix == ".partial" for entry in folder.iterdir())


def _describe(layers: tuple[Layer, ...], matrix: KernelMatrix, *, half: bool) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "version": _core.version,
        "instruction_set": runtime.instruction_set(),
        "kind": matrix.kind,
        "network": [_describe_layer(layer) for layer in layers],
        "data": {name: _describe_data(x) for name, x in matrix.inputs.items()},
        "half": half,
        "complete": False,
    }


def _describe_layer(layer: Layer) -> str:
    if isinstance(layer, Activation) and layer.function is not None:
        values = np.asarray(layer(_PROBE), np.float64)
        return f"{layer!r} with values {hashlib.sha256(values.tobytes()).hexdigest()[:16]}"
    return repr(layer)


def _describe_data(x: NDArray[Any]) -> dict[str, Any]:
    digest = hashlib.sha256()
    step = max(1, 2**24 // max(1, x[:1].nbytes))
    for i in range(0, len(x), step):
        digest.update(np.ascontiguousarray(x[i : i + step]).data)
    return {"shape": list(x.shape), "dtype": x.dtype.name, "sha256": digest.hexdigest()}


def _read(folder: Path, mode: Literal["r", "r+"] = "r") -> tuple[zarr.Array[Any], dict[str, Any]]:
    import zarr

    if not folder.exists():
        raise FileNotFoundError(errno.ENOENT, "no such store", str(folder))
    try:
        array = zarr.open_array(folder, mode=mode, config={"write_empty_chunks": True})
        known = array.attrs[ATTRIBUTE]
    except (FileNotFoundError, KeyError, ValueError, json.JSONDecodeError):
        raise ValueError(f"{folder} is not a kernel that fastntk has stored.") from None
    if not isinstance(known, dict) or known.get("format") != _FORMAT:
        raise ValueError(f"{folder} was stored in another format than version {_core.version} of fastntk knows.")
    return array, known


def _open_or_create(folder: Path, matrix: KernelMatrix, wanted: dict[str, Any], chunk: int) -> zarr.Array[Any]:
    import zarr
    from zarr.codecs import Crc32cCodec

    if not _is_new(folder):
        array, known = _read(folder, "r+")
        _compare(folder, known, wanted, array, matrix)
        return array
    return zarr.create_array(
        folder,
        shape=matrix.shape,
        dtype=matrix.dtype,
        chunks=(min(chunk, max(1, matrix.shape[0])), min(chunk, max(1, matrix.shape[1]))),
        compressors=Crc32cCodec(),  # kernels do not compress
        fill_value=np.nan,
        attributes={ATTRIBUTE: wanted},
        config={"write_empty_chunks": True},
    )


def _compare(
    folder: Path, known: dict[str, Any], wanted: dict[str, Any], array: zarr.Array[Any], matrix: KernelMatrix
) -> None:
    """Refuse a store of something else, and say of what."""
    differences = [
        f"its {key} is {known[key]!r}, not {wanted[key]!r}" for key in ("kind", "half") if known[key] != wanted[key]
    ]
    if array.dtype != matrix.dtype:
        differences.append(f"its dtype is {array.dtype}, not {matrix.dtype}")
    differences += [
        f"layer {i} of its network is {old or 'missing'}, not {new or 'missing'}"
        for i, old, new in _unequal(known["network"], wanted["network"])
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
        raise ValueError(f"{folder} is the store of another kernel: {'; '.join(differences)}.")
    if not known["complete"]:
        for key in ("version", "instruction_set"):
            if known[key] != wanted[key]:
                hint = f"set FASTNTK_ISA={known[key]}" if key == "instruction_set" else f"install {known[key]}"
                raise ValueError(
                    f"{folder} was begun with {key.replace('_', ' ')} {known[key]}, and this is {wanted[key]}, whose "
                    f"last bits may differ: {hint} to go on with it, or remove it."
                )


def _unequal(old: list[str], new: list[str]) -> Iterator[tuple[int, str, str]]:
    for i in range(max(len(old), len(new))):
        a, b = old[i] if i < len(old) else "", new[i] if i < len(new) else ""
        if a != b:
            yield i, a, b


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep a store to one process; the operating system ends this with the process, however it ends."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileExistsError(f"{folder} is being written by another process.") from None
        yield


def _path_of(folder: Path, array: zarr.Array[Any], part: Block) -> Path:
    index = tuple(s.start // side for s, side in zip(part, array.chunks, strict=True))
    return folder / array.metadata.encode_chunk_key(index)


def _is_there(folder: Path, array: zarr.Array[Any], part: Block) -> bool:
    """Whether a chunk is on disk, and whole."""
    try:
        size = _path_of(folder, array, part).stat().st_size
    except FileNotFoundError:
        return False
    return size == math.prod(array.chunks) * array.dtype.itemsize + _CHECKSUM_BYTES


def _fill(folder: Path, array: zarr.Array[Any], matrix: KernelMatrix, *, half: bool, progress: Progress) -> None:
    symmetric = matrix.symmetric
    mirrored = symmetric and not half
    parts = []
    for part in blocks(matrix.shape, chunk_of(array), symmetric=symmetric):
        both = (part, part[::-1]) if mirrored and part[0] != part[1] else (part,)
        if not all(_is_there(folder, array, p) for p in both):
            parts.append(both)
    for file in folder.rglob("*.partial"):  # of a process that was killed
        file.unlink()
    _check_disk(folder, sum(map(len, parts)) * math.prod(array.chunks) * matrix.dtype.itemsize)
    with portions(sum(pairs_of(both[0], symmetric=symmetric) for both in parts), progress) as portion:
        for number, both in enumerate(parts):
            value = np.empty(lengths(both[0]), matrix.dtype)
            matrix.write(both[0], [value], portion(pairs_of(both[0], symmetric=symmetric)))
            try:
                for part, block in zip(both, (value, value.T), strict=False):
                    if not _is_there(folder, array, part):
                        array[part] = np.ascontiguousarray(block)
            except OSError as error:
                raise OSError(
                    error.errno,
                    f"{error.strerror or error}; {number} of {len(parts)} blocks are there, and the same call goes on",
                    str(folder),
                ) from error


def _check_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"the kernel needs {needed / 2**30:.1f} GiB more, and {free / 2**30:.1f} GiB of disk are free",
            str(folder),
        )
