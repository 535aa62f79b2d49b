"""What ``fastntk fit`` writes and ``fastntk predict`` reads: kernel(x, rows) @ coefficients + offset, as .npz."""

from __future__ import annotations

import io
import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._checks.progress import Progress
from .._checks.shown import shown
from ..layers.window import MOST_AXES
from ..networks.description import build, check_described, describe
from ..networks.sequential import Sequential
from ..samples import Ragged
from .ragged import NAMES, arrays_of, is_ragged, samples_of

#: Of a model of rows, and of one of sequences or graphs, which has them as `ragged` does instead of rows.
_FORMATS = (2, 3)
_KEYS, _SAMPLES = {"about", "coefficients", "offset", "classes"}, {"rows", *NAMES}


class OtherArraysError(ValueError):
    """An archive that has something else."""


@dataclass(frozen=True)
class Model:
    """A fitted function.

    Attributes
    ----------
    network : Sequential
    kind : {"nngp", "ntk"}
    rows : ndarray of shape (m, d), or (m, positions ..., channels), Sequences or Graphs
        Training samples, or landmarks.
    coefficients : ndarray of shape (m, k)
    offset : ndarray of shape (k,)
    classes : ndarray of shape (c,)
        Labels; empty for regression. Of two the second is where f > 0, of more the one whose output is largest.
    """

    network: Sequential
    kind: Literal["nngp", "ntk"]
    rows: NDArray[Any] | Ragged
    coefficients: NDArray[np.float64]
    offset: NDArray[np.float64]
    classes: NDArray[Any]

    def predict(self, X: NDArray[Any] | Ragged, progress: Progress = False) -> NDArray[Any]:
        """Labels of shape (n,), or numbers of shape (n,) or (n, k)."""
        kernel = getattr(self.network, self.kind).operator(X, self.rows, dtype="float64", progress=progress)
        scores = kernel @ self.coefficients + self.offset
        if not len(self.classes):
            return np.asarray(scores[:, 0] if scores.shape[1] == 1 else scores)
        chosen = scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0).astype(int)
        return np.asarray(self.classes[chosen])

    def save(self, file: IO[bytes]) -> None:
        """Write it; nothing is pickled."""
        about = {
            "format": _FORMATS[isinstance(self.rows, Ragged)],
            "version": _core.version,
            "kind": self.kind,
            "network": describe(self.network),
        }
        parts: dict[str, Any] = {
            "about": np.array(json.dumps(about)),
            **(arrays_of(self.rows) if isinstance(self.rows, Ragged) else {"rows": self.rows}),
            "coefficients": self.coefficients,
            "offset": self.offset,
            "classes": self.classes,
        }
        np.savez(file, **parts)


def load(path: Path) -> Model:
    """Read a model.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is something else, damaged, or of another format.
    """
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
        if damaged:
            raise ValueError(f"the checksum of {damaged} is wrong")
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            members = {key: np.asarray(archive[key]) for key in archive.files if key in _KEYS | _SAMPLES}
        about = members.pop("about", None)
        known = json.loads(str(about)) if about is not None and about.dtype.kind == "U" and about.ndim == 0 else None
    except MemoryError:
        raise
    except Exception as error:  # zipfile's are of any type, where a file is not what it expects
        what = str(error).rstrip(".") or type(error).__name__
        raise ValueError(f"{path} is not a whole file that fastntk fit has written: {what}.") from None
    if not isinstance(known, dict) or "format" not in known or not _is_model({"about", *members}):
        raise OtherArraysError(f"{path} is not a model that fastntk fit has written.")
    if known["format"] not in _FORMATS:
        raise ValueError(
            f"{path} was written in another format than version {_core.version} of fastntk knows: fit it again."
        )
    try:
        return _checked(known, **members)
    except Exception as error:  # of building a network too
        if isinstance(error, MemoryError):
            raise
        raise ValueError(f"{path} is damaged: {str(error).rstrip('.') or type(error).__name__}.") from None


def _is_model(names: set[str]) -> bool:
    """Whether all arrays of a model are there."""
    return names - _SAMPLES == _KEYS and ("rows" in names or is_ragged(names))


def _checked(
    about: dict[str, Any],
    coefficients: NDArray[Any],
    offset: NDArray[Any],
    classes: NDArray[Any],
    **samples: NDArray[Any],
) -> Model:
    """The model, if its parts are of the types and shapes that `Model` has."""
    kind = about.get("kind")
    if kind not in ("nngp", "ntk"):
        raise ValueError(f"its kind is {shown(kind)}, not 'nngp' or 'ntk'")
    rows = samples_of(samples) if is_ragged(samples) else samples["rows"]
    axes_of_rows = [1] if isinstance(rows, Ragged) else range(2, MOST_AXES + 3)
    parts: list[tuple[str, NDArray[Any] | Ragged, Any]] = [
        ("rows", rows, axes_of_rows), ("coefficients", coefficients, [2]), ("offset", offset, [1]),
    ]  # fmt: skip
    for name, array, axes in parts:
        if array.dtype not in (np.float32, np.float64) or array.ndim not in axes or not math.prod(array.shape):
            raise ValueError(f"its {name} have dtype {array.dtype} and shape {array.shape}")
        if not isinstance(array, Ragged) and not np.isfinite(array).all():
            raise ValueError(f"its {name} are not finite")
    outputs = coefficients.shape[1]
    if len(coefficients) != len(rows) or len(offset) != outputs:
        raise ValueError(
            f"its rows, coefficients and offset do not match: {rows.shape}, {coefficients.shape}, {offset.shape}"
        )
    if classes.ndim != 1 or (len(classes) and classes.dtype.kind not in "biuU"):
        raise ValueError(f"its classes have dtype {classes.dtype} and shape {classes.shape}")
    if len(classes) == 1 or (len(classes) and outputs != (1 if len(classes) == 2 else len(classes))):
        raise ValueError(f"it has {len(classes)} classes and {outputs} outputs")
    return Model(build(check_described(about.get("network"))), kind, rows, coefficients, offset, classes)
