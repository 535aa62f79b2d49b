"""What is in the folder of a store: zarr.json, which says what it is of, and chunks with checksums, ``c/3/5``.

Nothing that is read here is believed: it has the form and the digest of what this library writes, or is refused.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..kernels.blocks import Block
from ..networks.description import check_described

if TYPE_CHECKING:
    import zarr

ATTRIBUTE = "fastntk"
METADATA = "zarr.json"
CHUNKS = "c"
FORMAT = 3
_CHECKSUM_BYTES = 4
_NUMBER = re.compile("0|[1-9][0-9]*")


class DamagedError(ValueError):
    """A chunk that is missing, cut short or changed."""


def need_packages() -> None:
    """Miss a package of the extra before anything is read or written."""
    try:
        import filelock  # noqa: F401
        import google_crc32c  # noqa: F401
        import zarr  # noqa: F401
    except ModuleNotFoundError as error:
        sentence = f'fastntk.store needs {error.name}: pip install "fastntk[store]".'
        raise ModuleNotFoundError(sentence, name=error.name) from error


@dataclass(frozen=True)
class Layout:
    """A store that was begun: where it is, its array, and what it says of itself."""

    folder: Path
    array: zarr.Array[Any]
    about: dict[str, Any]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the kernel."""
        n, m = self.array.shape
        return n, m

    @property
    def chunk(self) -> tuple[int, int]:
        """Rows and columns of a chunk."""
        down, across = self.array.chunks
        return down, across

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of the entries."""
        return np.dtype(self.array.dtype)

    @property
    def half(self) -> bool:
        """Whether only chunks on and above the diagonal are stored."""
        return bool(self.about["half"])

    @property
    def grid(self) -> tuple[int, int]:
        """How many chunks there are down and across."""
        (n, m), (down, across) = self.shape, self.chunk
        return -(-n // down), -(-m // across)

    @property
    def total(self) -> int:
        """How many chunks there will be."""
        down, across = self.grid
        return down * (down + 1) // 2 if self.half else down * across

    def path(self, i: int, j: int) -> Path:
        """Where a chunk is."""
        return self.folder / CHUNKS / str(i) / str(j)

    def block(self, i: int, j: int) -> Block:
        """Rows and columns of a chunk."""
        (n, m), (down, across) = self.shape, self.chunk
        return slice(i * down, min((i + 1) * down, n)), slice(j * across, min((j + 1) * across, m))

    @property
    def bytes_per_chunk(self) -> int:
        """Size of the file of a chunk: that of a whole one, also at the edge, and its checksum."""
        return math.prod(self.chunk) * self.dtype.itemsize + _CHECKSUM_BYTES

    def count(self) -> int:
        """How many chunks are there, and not cut short."""
        down, across = self.grid
        return sum(
            size == self.bytes_per_chunk and i < down and (i if self.half else 0) <= j < across
            for i, j, size in self._sizes()
        )

    def _sizes(self) -> Iterator[tuple[int, int, int]]:
        for row in _numbered(self.folder / CHUNKS):
            for file in _numbered(Path(row.path)):
                if file.is_file():
                    yield int(row.name), int(file.name), file.stat().st_size

    def read(self, i: int, j: int) -> NDArray[Any]:
        """A chunk, whose checksum is right; of a half-stored kernel also those below the diagonal.

        Raises
        ------
        DamagedError
            If it is missing, cut short or changed.
        """
        import google_crc32c

        if self.half and i > j:
            return self.read(j, i).T
        path = self.path(i, j)
        if not path.is_file():  # a pipe would be waited for
            raise self._damaged(path, "is missing")
        raw = np.fromfile(path, np.uint8)
        if len(raw) != self.bytes_per_chunk:
            raise self._damaged(path, f"is cut short ({len(raw)} of {self.bytes_per_chunk} bytes)")
        values, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
        if google_crc32c.value(values) != int.from_bytes(checksum.tobytes(), "little"):
            raise self._damaged(path, "was changed: its checksum is wrong")
        rows, columns = self.block(i, j)
        whole = values.view(self.dtype.newbyteorder("<")).reshape(self.chunk).astype(self.dtype, copy=False)
        return whole[: rows.stop - rows.start, : columns.stop - columns.start]

    def _damaged(self, path: Path, how: str) -> DamagedError:
        return DamagedError(
            f"chunk {path.relative_to(self.folder)} of {self.folder} {how}. The call of store.compute that made it "
            "computes it again."
        )


def _numbered(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if _NUMBER.fullmatch(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return


def sign(about: dict[str, Any], shape: tuple[int, ...], dtype: str, chunk: tuple[int, ...]) -> str:
    """Digest of all that a store says of itself."""
    said = {key: value for key, value in about.items() if key != "sha256"}
    plain = json.dumps([said, list(shape), dtype, list(chunk)], sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()


def load(path: str | os.PathLike[str], mode: Literal["r", "r+"] = "r") -> Layout:
    """Read what a store says of itself, finished or not.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is not a kernel of this library, of another format, or what it says was changed.
    """
    need_packages()
    import zarr

    folder = Path(path)
    if not folder.exists():
        raise FileNotFoundError(errno.ENOENT, "no such store", str(folder))
    known = _attributes(folder)
    if known is None:
        raise ValueError(f"{folder} is not a kernel that fastntk has stored.")
    if known.get("format") != FORMAT:
        raise ValueError(
            f"{folder} was stored in another format than version {_core.version} of fastntk knows, by its {METADATA}: "
            "compute it again, into a new folder."
        )
    try:
        _check(known)
        # By a path that means the same folder wherever the process goes.
        array = zarr.open_array(folder.absolute(), mode=mode, config={"write_empty_chunks": True})
        _check_array(array, known)
    except Exception as error:  # Zarr's are of any type, where metadata are not what it expects
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.filename):
            raise
        raise ValueError(f"{folder / METADATA} is damaged: {str(error).rstrip('.') or type(error).__name__}.") from None
    return Layout(folder.absolute(), array, known)


def _attributes(folder: Path) -> dict[str, Any] | None:
    """What this library wrote into the metadata of an array, if it did."""
    if not (folder / METADATA).is_file():
        return None
    try:
        metadata = json.loads((folder / METADATA).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{folder / METADATA} is damaged: {error}.") from None
    attributes = metadata.get("attributes") if isinstance(metadata, dict) else None
    known = attributes.get(ATTRIBUTE) if isinstance(attributes, dict) else None
    return known if isinstance(known, dict) else None


def _check(known: dict[str, Any]) -> None:
    """Refuse what is not of the form that `computing` writes."""
    kinds: dict[str, type] = {
        "version": str, "instruction_set": str, "kind": str, "network": object, "data": dict, "half": bool,
        "sha256": str,
    }  # fmt: skip
    for key, kind in kinds.items():
        if key not in known:
            raise ValueError(f"it does not say its {key!r}")
        if not isinstance(known[key], kind):
            raise ValueError(f"its {key!r} is {str(known[key])[:40]!r}, which is no {kind.__name__}")
    if known["kind"] not in ("nngp", "ntk"):
        raise ValueError(f"its 'kind' is {known['kind'][:40]!r}, not 'nngp' or 'ntk'")
    check_described(known["network"])
    for name, data in known["data"].items():
        right = isinstance(data, dict) and all(isinstance(data.get(key), str) for key in ("dtype", "sha256"))
        shape = data.get("shape") if right else None
        if name not in ("X", "Y") or not isinstance(shape, list) or len(shape) < 2 or {*map(type, shape)} != {int}:
            raise ValueError(f"what it says of its data, {name[:20]!r}, cannot be understood")
    if "X" not in known["data"] or (known["half"] and "Y" in known["data"]):
        raise ValueError("its data are not those of such a kernel")


def _check_array(array: zarr.Array[Any], known: dict[str, Any]) -> None:
    from zarr.codecs import BytesCodec, Crc32cCodec
    from zarr.core.metadata import ArrayV3Metadata

    data = known["data"]
    shape = data["X"]["shape"][0], data.get("Y", data["X"])["shape"][0]
    if array.shape != shape:
        raise ValueError(f"its shape is {array.shape}, and that of its data gives {shape}")
    if np.dtype(array.dtype) not in (np.float32, np.float64):
        raise ValueError(f"its dtype is {array.dtype}, not float32 or float64")
    if "Y" not in data and array.chunks[0] != array.chunks[1]:
        raise ValueError(f"its chunks are {array.chunks}, and not square")
    if sign(known, array.shape, np.dtype(array.dtype).name, array.chunks) != known["sha256"]:
        raise ValueError("what it says of itself was changed since it was written")
    metadata = array.metadata
    plain = (
        isinstance(metadata, ArrayV3Metadata)
        and metadata.encode_chunk_key((3, 5)) == f"{CHUNKS}/3/5"
        and metadata.codecs == (BytesCodec(endian="little"), Crc32cCodec())
        and np.isnan(metadata.fill_value)
    )
    if not plain:
        raise ValueError("chunks are not written as fastntk writes them")
