"""The version of the Python files, and that the compiled core is of the same."""

from __future__ import annotations

from .. import _core

#: As in pyproject.toml, which the core is told when it is built: to ask for metadata takes longer than to import it.
VERSION = "0.2.0"


def check_core() -> None:
    """Raise an ImportError if the core was compiled for other Python files, whose calls it does not know."""
    if _core.version != VERSION:
        raise ImportError(
            f"fastntk's Python files are of version {VERSION} and its compiled core of {_core.version}: install "
            "fastntk again, or build the core again."
        )
