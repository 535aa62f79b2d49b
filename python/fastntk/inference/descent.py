"""Gradient descent with momentum on one mode of a quadratic loss, any number of steps at once."""

from __future__ import annotations

import numpy as np

from ._checks import Array


def descend(rates: Array, steps: int, learning_rate: float, momentum: float) -> tuple[Array, Array]:
    """Share of each mode that is left after `steps` steps from rest, and (1 - left) / rate, also where the rate is 0.

    With u the way of the parameters in a mode and v its velocity, a step of heavy ball is

    ``v ← momentum v + learning_rate (1 - rate u), u ← u + v``:

    a 3 x 3 matrix acts on (u, v, 1), and its power by repeated squaring is the closed form, repeated eigenvalues
    included. What is left, 1 - rate u, obeys the same recursion without the constant.
    """
    change = np.zeros((len(rates), 3, 3))
    change[:, 0, 0] = change[:, 1, 0] = -learning_rate * rates
    change[:, 0, 1], change[:, 1, 1] = momentum, momentum - 1
    change[:, :2, 2] = learning_rate
    step = (np.eye(3) + change, change)
    total = (np.broadcast_to(np.eye(3), change.shape), np.zeros_like(change))
    for bit in reversed(range(steps.bit_length())):
        total = _product(total, total)
        if steps >> bit & 1:
            total = _product(total, step)
    return total[0][:, 0, 0], total[1][:, 0, 2]


def _product(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    """Product of matrices, given and returned as pairs (A, A - I).

    Slow modes are close to I, and their powers exact only if the difference is carried; tiny entries of a power are
    exact only as products.
    """
    change = a[1] + a[0] @ b[1]
    return np.where(np.abs(change) < 0.5, np.eye(3) + change, a[0] @ b[0]), change
