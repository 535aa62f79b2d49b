"""phi's own Hermite expansion beside truncated moments (`pieces`): few terms, for pairs whose rho is small enough.

Its first three orders are those that the moments have too.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import hermite
from .jumps import Jumps
from .moments import FARTHEST

Array = NDArray[np.float64]

#: A polynomial of degree 2 has three Hermite coefficients.
TERMS = 3

#: Hermite coefficients beyond those, for pairs whose rho is small enough for phi's own expansion; and how far it goes.
ORDERS = 128
_PRECISION = {True: 2.0**-26, False: 2.0**-54}

#: Coefficients whose products are of no account, and may not even be numbers of full precision.
_FAINTEST = 1e-19

#: How many of them the engine takes less or more of, of odd and of even order: shares are told of every so many.
_STEP = 2 * 4

#: Samples whose orders are computed together.
_BLOCK = 256

#: How far norms may be wrong, relative to themselves.
_NORM_ERROR = 2.0**-43

#: What is wrong with a gap beside its root, in units of rounding: Theta behind ReLU, or a kink, errs by as much.
_WRONG = 2.5

#: What orders from 3 on leave in the engine's steps.
Shares: TypeAlias = tuple[float, ...]

#: Parameters of an op without that expansion.
NO_MEHLER = [0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, *[0.0] * (ORDERS // _STEP + 1)]


def orders_of(jumps: list[Jumps], s: Array, unit: Array) -> tuple[list[Array], bool]:
    """Hermite coefficients of phi from order 3 on, of every other order from 3 and from 4; then of phi' if phi jumps.

    And whether it jumps. By Stein's lemma E[(z - h)_+^m h_k(z)] is m! pdf(h) h_(k-1-m)(h) sqrt((k-1-m)! / k!).
    """
    jumping = any(weights[0] for kink in jumps for weights in (kink.right, kink.left))
    blocks = [_orders_of(jumps, s[block], unit[block], jumping=jumping) for block in _blocks(len(s))]
    return [np.concatenate(rows, axis=1) for rows in zip(*blocks, strict=True)], jumping


def _orders_of(jumps: list[Jumps], s: Array, unit: Array, *, jumping: bool) -> list[Array]:
    """The same of some samples."""
    columns = []
    beyond = [_beyond(kink.a / s) for kink in jumps]
    for derivative in (False, True):
        for start in (TERMS, TERMS + 1):
            orders = np.arange(start, TERMS + ORDERS, 2)
            total = np.zeros((0, len(s)))
            for kink, rows in zip(jumps, beyond, strict=True):
                # To the left z is -z, which changes the sign of odd orders, and of phi'.
                side = (-1) ** (start + derivative)
                weights = [right + side * left for right, left in zip(kink.right, kink.left, strict=True)]
                scales = [math.factorial(m) * j * unit * s**m for m, j in enumerate(weights)][derivative:]
                for m, scale in enumerate(scales):
                    if weights[m + derivative] and (jumping or not derivative):
                        part = rows[orders[0] - 1 - m : orders[-1] - m : 2] * scale
                        part /= np.sqrt(np.prod([orders - i for i in range(m + 1)], axis=0))[:, None]
                        total = total + part if len(total) else part
            total[np.abs(total) < _FAINTEST] = 0
            columns.append(total)
    return columns


def _blocks(count: int) -> list[slice]:
    """Samples whose numbers of all orders are together in cache; one block, empty, of none."""
    return [slice(first, first + _BLOCK) for first in range(0, max(count, 1), _BLOCK)]


def mehler_parameters(orders: list[Array], shares: Shares, *, jumping: bool, single: bool) -> list[float]:
    """Return the parameters of that expansion: how far it reaches, by what all of its orders leave, and by rounding."""
    tolerance, rounding = _PRECISION[single], 2.0**-23 if single else 2.0**-52
    left = (tolerance / max(shares[-1], tolerance)) ** (1 / (TERMS + ORDERS - 1))
    reach = max(-1.0, min(left, 1 - ((tolerance / rounding + shares[0]) / _WRONG) ** 2))
    return [*(float(len(rows)) for rows in orders), float(jumping), reach, tolerance, *shares]


def reaches(mehler: list[float]) -> bool:
    """Whether that expansion is for any pair."""
    return mehler[5] >= 0


def shares_of(
    columns: list[Array], of_phi: list[Array], of_slope: list[Array] | None, norm: Array, gain: Array
) -> Shares:
    """Largest share of any sample that orders from 3 on have in F(q, q) or F'(q, q), from 3 + 8 on, ... and the rest.

    By Parseval's theorem: what all orders with coefficients lack is what those beyond them have, or the error of norms.
    Powers of 4, so that samples that come later seldom have larger ones.
    """

    def beyond(lowest: list[Array], pairs: list[Array], whole: Array, power: int) -> Array:
        """All from an order on, each squared and times the power of its order."""
        steps = np.zeros((ORDERS // _STEP, len(whole)))
        for start, rows in enumerate(pairs):
            if len(rows):
                orders = np.arange(TERMS + start, TERMS + ORDERS, 2.0)[:, None]
                steps += (rows**2 * orders**power).reshape(len(steps), _STEP // 2, len(whole)).sum(axis=1)
        low = sum(float(k**power) * column**2 for k, column in enumerate(lowest))
        rest = np.maximum(whole - low - steps.sum(axis=0), _NORM_ERROR * whole)
        found = np.cumsum(np.vstack((rest, steps[::-1])), axis=0)[::-1]
        return np.asarray(np.divide(found, whole, out=np.zeros_like(found), where=whole > 0))

    largest = np.full(ORDERS // _STEP + 1, _NORM_ERROR)
    for block in _blocks(len(norm)):
        lowest, orders = ([rows[..., block] for rows in part] for part in (columns, of_phi))
        value = beyond(lowest[:TERMS], orders, norm[block], 0)
        if of_slope is None:
            slope = beyond(lowest[:TERMS], orders, gain[block], 1)
        else:
            slope = beyond(lowest[2 * TERMS : 3 * TERMS], [rows[:, block] for rows in of_slope], gain[block], 0)
        largest = np.maximum(largest, np.maximum(value, slope).max(axis=1, initial=0))
    return tuple(np.minimum(4.0 ** np.ceil(np.log2(largest) / 2), 1.0).tolist())


def _beyond(h: Array) -> Array:
    """Compute pdf(h) h_k(h) of all orders k needed, 0 where no kink counts."""
    z = np.minimum(h, FARTHEST)
    rows = hermite.functions(z, np.arange(TERMS + ORDERS))
    rows *= np.where(h < FARTHEST, np.exp(-0.25 * z**2) / (2 * np.pi) ** 0.25, 0.0)
    return rows
