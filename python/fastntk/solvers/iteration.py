"""Conjugate gradients of many columns at once: how they go on, and why they end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._checks.progress import Progress
from .._machine.floating import undisturbed

Array = NDArray[np.float64]
Times = Callable[[Array], Array]
Reason = Literal["converged", "maxiter", "singular", "rounding"]

#: A direction p is one that A does not see, as far as rounding tells, where p.Ap / p.p is below sqrt(n) times this part
#: of |A|.
_UNSEEN = 16 * float(np.finfo(np.float64).eps)


BEYOND = "x is beyond the range of float64: the matrix is too small for b; scale one of them."


class Iteration(NamedTuple):
    """How conjugate gradients ended."""

    x: Array
    residuals: Array
    reason: Reason


@undisturbed
def iterate(
    times: Times,
    b: Array,
    precondition: Times,
    rtol: float,
    maxiter: int,
    progress: Progress,
    *,
    atol: float = 0.0,
    norm: float = 0.0,
    x0: Array | None = None,
    callback: Callable[[Array], object] | None = None,
) -> Iteration:
    """Conjugate gradients of every column of b on its own, products with A in common; `norm` is at most that of A.

    The residual that they carry along goes on falling where rounding stops that of x: when it is small enough x is
    checked, by one more product, and they begin again from what is left as long as that helps.
    """
    scale = np.abs(b).max(axis=0, initial=0)
    scale[scale == 0] = 1
    wanted = b / scale
    size = np.linalg.norm(wanted, axis=0)
    size[size == 0] = 1
    tolerance = np.maximum(np.maximum(rtol, atol / scale / size), np.finfo(np.float64).tiny)
    run = _Run(times, precondition, size, tolerance, maxiter, norm)
    x = np.zeros_like(wanted) if x0 is None else np.where(wanted.any(axis=0), x0 / scale, 0.0)
    r = wanted if x0 is None else wanted - times(x)
    run.history = [np.linalg.norm(r, axis=0) / size]
    with _Orders(run.tolerance, progress) as report:
        while (going := run.going()).any() and not run.used_up:
            before = run.history[-1][going].max()
            show = None if callback is None else partial(_show, callback, x, scale)
            x = x + run.descend(r, report, show)
            r = wanted - times(x)
            run.history[-1] = np.linalg.norm(r, axis=0) / size
            if run.history[-1][going].max() > 0.5 * before:
                break
    return Iteration(in_range(x, scale), np.array(run.history), run.reason())


def in_range(x: Array, scale: Array) -> Array:
    """The solution x, times the scale of every column.

    Raises
    ------
    ValueError
        If a column is beyond the range of float64, or has lost digits at its lower end: it solves nothing.
    """
    with np.errstate(over="ignore"):
        scaled = x * scale
    largest = np.abs(scaled).max(axis=0, initial=0)
    if not np.isfinite(largest).all():
        raise ValueError(BEYOND)
    if ((largest < np.finfo(np.float64).tiny) & x.any(axis=0)).any():
        raise ValueError("x is below the range of float64: the matrix is too large for b; scale one of them.")
    return np.asarray(scaled)


def _show(callback: Callable[[Array], object], base: Array, scale: Array, step: Array) -> None:
    callback((base + step) * scale)


class _Run:
    """What conjugate gradients of all columns have in common, and what became of them."""

    def __init__(
        self, times: Times, precondition: Times, size: Array, tolerance: Array, maxiter: int, norm: float
    ) -> None:
        self._times, self._precondition, self._size, self._maxiter = times, precondition, size, maxiter
        self.tolerance = tolerance
        self.history: list[Array] = []
        self._singular = np.zeros(len(size), bool)
        self._norm = norm  # of A, from below: directions that are preconditioned may never meet what is large of it

    @property
    def used_up(self) -> bool:
        """Whether there were as many passes as are allowed."""
        return len(self.history) > self._maxiter

    def going(self) -> NDArray[np.bool_]:
        """Which columns are to go on."""
        return (self.history[-1] > self.tolerance) & ~self._singular

    def reason(self) -> Reason:
        """Why it ended."""
        late = self.history[-1] > self.tolerance
        if not late.any():
            return "converged"
        if (late & self._singular).any():
            return "singular"
        return "maxiter" if self.used_up else "rounding"

    def descend(self, b: Array, report: Callable[[Array], None], callback: Callable[[Array], object] | None) -> Array:
        """Conjugate gradients from zero, until the residuals that they carry along are below the tolerance.

        In a direction that A does not see they would go anywhere: of such a column the best x so far is kept.
        """
        x, r = np.zeros_like(b), b.copy()
        best, least = np.zeros_like(b), self.history[-1].copy()
        active = np.flatnonzero(self.going())
        z = self._precondition(r[:, active])
        p = z.copy()
        rz = np.einsum("ij,ij->j", r[:, active], z)
        while active.size and not self.used_up:
            ap = self._times(p)
            curvature, unseen = self._curvature(p, ap)
            self._singular[active[unseen]] = True
            x[:, active[unseen]] = best[:, active[unseen]]
            if unseen.any():
                seen = ~unseen
                active, p, ap, rz, curvature = active[seen], p[:, seen], ap[:, seen], rz[seen], curvature[seen]
            step = rz / curvature
            x[:, active] += step * p
            r[:, active] -= step * ap
            self.history.append(self.history[-1].copy())
            norms = self.history[-1][active] = np.linalg.norm(r[:, active], axis=0) / self._size[active]
            better = active[norms < least[active]]
            best[:, better], least[better] = x[:, better], self.history[-1][better]
            report(self.history[-1])
            if callback is not None:
                callback(x)
            on = norms > self.tolerance[active]
            active, p, rz = active[on], p[:, on], rz[on]
            if active.size:
                z = self._precondition(r[:, active])
                old, rz = rz, np.einsum("ij,ij->j", r[:, active], z)
                p = z + (rz / old) * p
        return x

    def _curvature(self, p: Array, ap: Array) -> tuple[Array, NDArray[np.bool_]]:
        """p.Ap, and whether it is nothing but rounding.

        Raises
        ------
        numpy.linalg.LinAlgError
            If it is negative.
        """
        curvature = np.einsum("ij,ij->j", p, ap)
        if not np.isfinite(curvature).all():
            raise ValueError("A has NaN or infinite entries, or entries whose products are beyond the range.")
        length = np.abs(p).max(axis=0, initial=0)  # at any scale of A: a preconditioned p may be as long as 1 / |A|
        length[length == 0] = 1
        p, ap, of_unit = p / length, ap / length, curvature / length / length
        square = np.einsum("ij,ij->j", p, p)
        sizes = np.hypot.reduce(ap, axis=0) / np.sqrt(square, where=square > 0, out=np.ones_like(square))
        self._norm = max(self._norm, float(sizes.max(initial=0)))
        rounding = _UNSEEN * np.sqrt(len(p)) * self._norm * square
        if (of_unit < -rounding).any():
            raise np.linalg.LinAlgError(
                "A + ridge I is not positive definite to working precision: raise the ridge, or compute the kernel "
                "in float64."
            )
        return curvature, of_unit <= rounding


class _Orders:
    """Progress in orders of magnitude of the residual that is farthest from its tolerance."""

    def __init__(self, tolerance: Array, progress: Progress) -> None:
        self._tolerance, self._progress, self._bar = tolerance, progress, None
        self._first: float | None = None

    def __enter__(self) -> _Orders:
        if self._progress is True:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=100, unit="%", desc="pcg")
        return self

    def __call__(self, residuals: Array) -> None:
        left = float((residuals / self._tolerance).max())
        self._first = self._first or max(left, float(1 / self._tolerance.min()))
        done = 1.0 if left <= 1 else 1 - np.log(left) / np.log(self._first)
        fraction = float(np.clip(done, 0, 1))
        if callable(self._progress):
            self._progress(fraction)
        elif self._bar is not None:
            self._bar.set_postfix(residual=f"{residuals.max():.1e}")
            self._bar.update(round(100 * fraction) - self._bar.n)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
