"""What an activation function is, phi and phi' on arrays, and those that users make; `named` has the formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from .._checks.shown import cut, shown

Real = NDArray[Any]


@dataclass(frozen=True)
class Function:
    """phi and phi', and where a derivative of any order jumps. At a kink phi' is the mean of both slopes."""

    phi: Callable[[Real], Real]
    derivative: Callable[[Real], Real]
    kinks: tuple[float, ...] = ()
    #: Of a function of the user: what to call it. Nothing else is known of it.
    name: str = ""
    known: bool = True
    #: A second estimate of a derivative that is one by finite differences.
    closer: Callable[[Real], Real] | None = None

    @cached_property
    def at_zero(self) -> tuple[float, float]:
        """Phi at 0 from the right and from the left: they differ where it jumps."""
        right, left = (float(np.asarray(self.phi(np.array([side * 1e-300])), np.float64)[0]) for side in (1, -1))
        # What is as small as that is the slope.
        return (right, left) if max(abs(right), abs(left)) > 1e-150 else (0.0, 0.0)

    @cached_property
    def vanishes(self) -> bool:
        """Whether a function of the user is 0 everywhere, as far as it is looked at."""
        if self.known:
            return False
        near, far = np.linspace(0, 2, 65), np.concatenate((np.linspace(2, 64, 2049), 2.0 ** np.arange(-64, 65)))
        try:
            return not any(np.asarray(self.phi(x)).any() for x in (near, -near, far, -far))
        except (TypeError, ValueError):  # what it says where it is to be evaluated is said there
            return False

    @cached_property
    def jumps_at_zero(self) -> bool:
        """Whether phi jumps at a kink at 0."""
        right, left = self.at_zero
        return 0.0 in self.kinks and abs(right - left) > 1e-15 * max(abs(right), abs(left))


#: Where a jump that is not named is looked for; intervals of this range are halved so often, to next to nothing.
_RANGE, _INTERVALS, _HALVINGS = 8.0, 4096, 30

#: A change over such an interval that is a jump, relative to all that the function takes on.
_JUMP = 1e-6


def is_continuous(phi: Callable[[Real], Real], kinks: tuple[float, ...]) -> bool:
    """Whether phi jumps neither at a kink, relative to what it is on both sides of that, nor where none is named."""
    for kink in kinks:
        beside = np.abs(kink) * 1e-15 or 1e-300
        left, right, *around = np.asarray(phi(kink + np.array([-beside, beside, -1.0, 1.0])), np.float64)
        if abs(right - left) > 1e-9 * np.abs(around).max():
            return False
    return not _changes_at_once(phi)


def _changes_at_once(phi: Callable[[Real], Real]) -> bool:
    """Whether it changes over the smallest intervals: of every two halves the one is followed that changes more."""
    left, step = np.linspace(-_RANGE, _RANGE, _INTERVALS, endpoint=False, retstep=True)
    right = left + step
    low, high = phi(left), phi(right)
    size = np.ptp(low)
    for _ in range(_HALVINGS):
        middle = (left + right) / 2
        between = phi(middle)
        first = np.abs(between - low) > np.abs(high - between)
        left, low = np.where(first, left, middle), np.where(first, low, between)
        right, high = np.where(first, middle, right), np.where(first, between, high)
    return bool(np.abs(high - low).max() > _JUMP * size)


@dataclass(frozen=True)
class PiecewisePolynomial:
    """pieces[i], coefficients from low to high order up to 2, between breakpoints i - 1 and i.

    At a breakpoint phi and phi' are the means of both sides.
    """

    breakpoints: tuple[float, ...]
    pieces: tuple[tuple[float, ...], ...]

    def phi(self, x: Real) -> Real:
        """Evaluate phi(x)."""
        return self._evaluate(x, self.pieces)

    def derivative(self, x: Real) -> Real:
        """Evaluate phi'(x), almost everywhere."""
        return self._evaluate(x, [tuple(Polynomial(piece).deriv().coef.tolist()) for piece in self.pieces])

    def _evaluate(self, x: Real, pieces: Any) -> Real:
        x = np.asarray(x)
        left, right = (np.searchsorted(self.breakpoints, x, side) for side in ("left", "right"))
        result = np.zeros_like(x)
        for i, piece in enumerate(pieces):
            for side in (left, right):
                # Where the piece does not apply it is evaluated at 0, so that it cannot overflow.
                inside = side == i
                u = np.where(inside, x, 0)
                value = np.full_like(x, piece[-1])
                for coefficient in piece[-2::-1]:
                    value = value * u + x.dtype.type(coefficient)
                result += np.where(inside, 0.5 * value, 0)
        return np.asarray(np.where(np.isnan(x), x, result))


def piecewise_linear(breakpoints: tuple[float, ...], slopes: tuple[float, ...]) -> PiecewisePolynomial:
    """Continuous, with phi(0) = 0 and these slopes between the breakpoints."""
    offsets = [0.0]
    for a, before, after in zip(breakpoints, slopes[:-1], slopes[1:], strict=True):
        offsets.append(offsets[-1] + (before - after) * a)
    at_zero = offsets[sum(a < 0 for a in breakpoints)]
    return PiecewisePolynomial(
        breakpoints, tuple((offset - at_zero, slope) for offset, slope in zip(offsets, slopes, strict=True))
    )


def of_callable(
    phi: Callable[[Real], Any], derivative: Callable[[Real], Any] | None, kinks: tuple[float, ...], name: str
) -> Function:
    """Wrap functions of a user: their results are checked for shape and finiteness."""

    def checked(function: Callable[[Real], Any], what: str) -> Callable[[Real], Real]:
        one_number = (
            f"{what} must take an array; {shown(function)} takes one number at a time. Write it with NumPy (np.tanh "
            "for math.tanh, np.where for an if), or pass np.vectorize of it, which is slow."
        )

        def evaluate(x: Real) -> Real:
            try:
                with np.errstate(all="ignore"):  # what is not finite is refused
                    value = np.asarray(function(x))
            except (TypeError, ValueError) as error:
                if _takes_numbers_alone(function):
                    raise TypeError(one_number) from error
                raise
            if value.shape != x.shape:
                if _takes_numbers_alone(function):  # and arrays of one
                    raise TypeError(one_number)
                raise ValueError(
                    f"{what} must be vectorised: for an array of shape {x.shape} it returned shape {value.shape}."
                )
            if value.dtype.kind not in "biuf":
                raise TypeError(f"{what} must return real numbers, got dtype {cut(value.dtype)}.")
            finite = np.isfinite(value)
            if not finite.all():
                at = ~finite
                raise ValueError(
                    f"{what} must be finite where it is evaluated; at x = {float(x[at].flat[0]):.6g} it is "
                    f"{float(value[at].flat[0])}: a variance q needs it to 10.5 sqrt(q) on both sides of 0."
                )
            return value.astype(x.dtype, copy=False)

        return evaluate

    plain = checked(phi, f"the activation function {name}")
    if derivative is None:
        slope, closer = (_differences(plain, kinks, step) for step in (2.0**-10, 2.0**-11))
        return Function(plain, slope, kinks, name, known=False, closer=closer)
    return Function(plain, checked(derivative, f"the derivative of {name}"), kinks, name, known=False)


def _takes_numbers_alone(function: Callable[[Any], Any]) -> bool:
    """Whether a function that has failed works on a number, and on no array."""

    def works(x: Any) -> bool:
        try:
            function(x)
        except Exception:  # its own affair
            return False
        return True

    return works(1.0) and not works(np.ones(2))


def _differences(phi: Callable[[Real], Real], kinks: tuple[float, ...], step: float) -> Callable[[Real], Real]:
    """Phi' by differences of order 6, one-sided near a kink: good to some 1e-11 for phi of unit scale."""
    central = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60
    one_sided = np.array([-147, 360, -450, 400, -225, 72, -10]) / 60

    def derivative(x: Real) -> Real:
        u = x.astype(np.float64)
        h = step * np.maximum(1.0, 2.0 ** np.floor(np.log2(np.maximum(np.abs(u), 1.0))) / 8)
        side = np.zeros_like(u)
        for kink in kinks:
            near = np.abs(u - kink) <= 3 * h
            side[near] = np.where(u[near] >= kink, 1, -1)
        total = np.zeros_like(u)
        for i in range(7):
            shift = np.where(side == 0, i - 3, side * i)
            weight = np.where(side == 0, central[i], side * one_sided[i])
            total += weight * phi(u + shift * h)
        return np.asarray(total / h, x.dtype)

    return derivative
