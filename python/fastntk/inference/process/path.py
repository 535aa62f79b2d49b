"""A function drawn from a posterior, that remembers where it was asked and what it said."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._checks.shown import shown
from ..._machine.factor import blocks
from ..._machine.floating import undisturbed
from ...samples import Ragged
from ..cholesky import bordered, forward
from .observed import Observed, samples_of
from .targets import Units

Array = NDArray[np.float64]

#: Of K(x, x): what is left of a variance below is taken for rounding, of the kernel and of the factor.
_LEAST = 1e-12

#: Samples that are drawn together.
_TOGETHER = 1024


@undisturbed
class SampledFunction:
    """A function drawn from the posterior of a process: call it with X, of shape (m, d), for its values.

    What it says is drawn when it is first asked, given all that it said before, and stays: asked again, at the same
    numbers, it says the same. So its values depend on the order of questions, their distribution does not. A sample
    whose value is known from others, but for about 1e-6 of the prior deviation, gets the value that they tell.

    It pickles, with what it said and its random numbers to come. Several threads may ask it at once.

    Notes
    -----
    The Cholesky factor is extended by every sample that it is asked at, without noise: N² multiply-adds each and a copy
    of the factor for each call, N the number of samples observed and asked at.

    References
    ----------
    Rasmussen and Williams, "Gaussian processes for machine learning", 2006, eq. 2.19.
    """

    def __init__(self, observed: Observed, units: Units, values: Array, single: bool, rng: np.random.Generator) -> None:
        self._observed, self._units, self._single, self._rng = observed, units, single, rng
        self._white = forward(observed.factor, values)  # L⁻¹ z: independent standard normal numbers
        self._said: dict[bytes, Array] = {}
        self._lock = Lock()

    def __call__(self, X: ArrayLike) -> Array:
        """Values at X, of shape (m,), or (m, k) of k outputs."""
        x = samples_of(X)
        if self._observed.are_unlike(x):
            raise ValueError(
                f"X has samples of shape {x.shape[1:]}, but the function is of {self._observed.x.shape[1:]}."
            )
        names = x.keys if isinstance(x, Ragged) else [row.tobytes() for row in x + 0.0]  # of -0.0 those of 0.0
        with self._lock:
            new = {name: i for i, name in enumerate(names) if name not in self._said}
            for part in blocks(len(new), _TOGETHER):
                self._draw(x[list(new.values())[part]], list(new)[part])
            z = np.array([self._said[name] for name in names]).reshape(len(x), self._white.shape[1])
        values = self._units.targets(x, z)
        return values[:, 0] if self._single else values

    def _draw(self, x: Array, names: list[bytes]) -> None:
        from scipy.linalg import lapack

        explained, kernel = self._observed.explained(x), self._observed.net.nngp(x)
        size = np.sqrt(kernel.diagonal())
        size[size == 0] = 1
        covariance = (kernel - explained.T @ explained) / size[:, None] / size
        # Pivoted: first the samples of which the smallest part is known, and none of which all is.
        root, pivots, rank, _ = lapack.dpstrf(covariance, tol=_LEAST, lower=1)
        if covariance.diagonal().max() <= _LEAST:  # LAPACK does not ask this of the first
            rank = 0
        order = pivots - 1
        root = size[order, None] * np.tril(root)[:, :rank]
        white = self._rng.standard_normal((rank, self._white.shape[1]))
        z = explained.T[order] @ self._white + root @ white
        drawn = order[:rank]
        if rank:
            factor = bordered(self._observed.factor, explained[:, drawn].T, root[:rank])
            self._observed = self._observed.followed_by(x[drawn], 0.0, factor)
            self._white = np.concatenate((self._white, white))
        self._said.update(zip((names[i] for i in order), z, strict=True))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=Lock())

    def __repr__(self) -> str:
        return f"SampledFunction({shown(self._observed.net)}, asked at {len(self._said)} samples)"
