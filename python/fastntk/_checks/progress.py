"""What users see of long work: a bar, or calls of a function of theirs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .shown import shown

Progress = bool | Callable[[float], object]


class Bar:
    """A progress bar that appears only where the work takes more than a second."""

    def __init__(self, total: int, unit: str = "pair", what: str = "kernel") -> None:
        self._total, self._unit, self._what = total, unit, what
        self._bar: Any = None
        self._start = time.perf_counter()

    def __call__(self, fraction: float) -> None:
        """Show that so much is done."""
        if self._bar is None:
            if time.perf_counter() - self._start < 1.0:
                return
            from tqdm.auto import tqdm

            self._bar = tqdm(total=self._total, unit=self._unit, unit_scale=True, desc=self._what)
        self._bar.update(round(fraction * self._total) - self._bar.n)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def check_progress(progress: object) -> None:
    """Refuse what is neither a truth value nor a callable."""
    if not isinstance(progress, (bool, np.bool_)) and not callable(progress):
        raise TypeError(f"progress must be True, False or a callable, got {shown(progress)}.")


@contextmanager
def portions(total: int, progress: Progress) -> Iterator[Callable[[int], Progress]]:
    """Progress over work in portions: gives the progress of the next one, of so many pairs."""
    done = 0
    with Bar(total) as bar:
        show = progress if callable(progress) else bar

        def portion(pairs: int) -> Progress:
            nonlocal done
            start, done = done, done + pairs
            return (lambda fraction: show((start + fraction * pairs) / total)) if progress else False

        yield portion
