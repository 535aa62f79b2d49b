"""What a process says where it is asked: means, deviations, their gradients, draws, in the units of the targets."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._checks.arguments import random_generator, true_or_false, whole_number
from ..._checks.shown import one_line
from ..._machine.factor import blocks
from ..._machine.floating import undisturbed
from ...layers.migration import refuse
from ..posterior import GPPosterior
from .observed import Observed, samples_of
from .path import SampledFunction
from .targets import Units

Array = NDArray[np.float64]


def _check_predict(_: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Arguments of predict: not those of scikit-learn's."""
    if kwargs.keys() & {"return_std", "return_cov"}:
        raise TypeError("predict gives mean and std by itself; return_cov=True is covariance=True here.")


#: Numbers of the kernel between samples that are predicted together and those observed: 32 MiB.
_TOGETHER = 2**22


@one_line
class Prediction(NamedTuple):
    """Posterior mean and standard deviation, of shape (m,) or (m, k)."""

    mean: Array
    std: Array


@one_line
class PredictionGradient(NamedTuple):
    """As `Prediction`, and the gradients of both in the sample, of shape (m, d) or (m, k, d)."""

    mean: Array
    std: Array
    mean_gradient: Array
    std_gradient: Array


@one_line
class JointPrediction(NamedTuple):
    """Posterior mean, of shape (m,) or (m, k), and covariance of the samples, of shape (m, m) or (m, m, k)."""

    mean: Array
    covariance: Array


@undisturbed
class Answers:
    """The questions that a process answers, of what was observed and the units of the targets."""

    __slots__ = ("_dual", "_observed", "_single", "_units", "_values")

    _observed: Observed
    _units: Units
    _values: Array  # z of shape (n, k)
    _dual: Array  # A⁻¹ z
    _single: bool  # whether targets are of shape (n,), and not (n, k)

    @overload
    def predict(
        self,
        X: ArrayLike,
        covariance: Literal[False] = False,
        gradient: Literal[False] = False,
        *,
        include_noise: bool = ...,
    ) -> Prediction: ...
    @overload
    def predict(
        self,
        X: ArrayLike,
        covariance: Literal[True],
        gradient: Literal[False] = False,
        *,
        include_noise: bool = ...,
    ) -> JointPrediction: ...
    @overload
    def predict(
        self,
        X: ArrayLike,
        covariance: Literal[False] = False,
        *,
        gradient: Literal[True],
        include_noise: bool = ...,
    ) -> PredictionGradient: ...
    @refuse(_check_predict)
    def predict(
        self, X: ArrayLike, covariance: bool = False, gradient: bool = False, *, include_noise: bool = False
    ) -> Prediction | PredictionGradient | JointPrediction:
        """Posterior of the function, or of new targets.

        Parameters
        ----------
        X : array_like of shape (m, d)
            Samples.
        covariance : bool, default False
            Whether their covariance is wanted, instead of deviations.
        gradient : bool, default False
            Whether the gradients of mean and deviation in the sample are wanted too.
        include_noise : bool, default False
            Whether deviations and covariances are those of new targets, with their noise, and not of the noise-free
            function.

        Returns
        -------
        Prediction, JointPrediction or PredictionGradient
            Named tuples: ``mean, std``; ``mean, covariance``; ``mean, std, mean_gradient, std_gradient``.

        Raises
        ------
        ValueError, TypeError
            Samples that are not of the shape of those observed, NaN, covariance together with gradient, gradient where
            the mean is a function, include_noise where each of the samples observed has a noise of its own.

        Notes
        -----
        Where the deviation is 0, as at samples without noise, its gradient is given as 0, the mean of its one-sided
        ones. Samples are predicted in blocks: beside the results some 100 MiB of memory are needed at most, with the
        covariance m (m + n) numbers.

        Examples
        --------
        >>> import fastntk, numpy as np
        >>> from fastntk.inference import GaussianProcess
        >>> X = np.random.default_rng(0).normal(size=(30, 4))
        >>> model = GaussianProcess(fastntk.mlp(2), X, X[:, 0], noise=1e-4, standardize=True)
        >>> found = model.predict(X[:3] + 0.1, gradient=True)
        >>> found.std.shape, found.std_gradient.shape
        ((3,), (3, 4))
        """
        x = self._asked(X)
        covariance, gradient = true_or_false(covariance, "covariance"), true_or_false(gradient, "gradient")
        if covariance and gradient:
            raise ValueError("covariance=True and gradient=True exclude each other: ask twice.")
        noise = self._deviation_of_noise() if true_or_false(include_noise, "include_noise") else 0.0
        if covariance:
            scale = self._squeezed(self._units.scale**2, 0)
            spread = np.multiply.outer(self._observed.covariance(x), scale)
            spread[np.diag_indices(len(x))] += noise**2
            return JointPrediction(self._in_units(x, self._observed.cross(x) @ self._dual), spread)
        if gradient and callable(self._units.mean):
            raise ValueError(
                "gradient=True needs the derivative of the mean, which a function does not tell: subtract its values "
                "from y, and add them, and their derivatives, to what is predicted."
            )
        step = max(1, _TOGETHER // len(self._observed.x))
        parts = [self._moments(x[rows], gradient) for rows in blocks(max(len(x), 1), step)]
        found = parts[0] if len(parts) == 1 else tuple(map(np.concatenate, zip(*parts, strict=True)))
        mean, std, *slopes = found
        total = np.hypot(std, noise)
        if not gradient:
            return Prediction(mean, total)
        of_mean, of_std = slopes
        share = np.divide(std, total, out=np.zeros_like(std), where=total > 0)
        return PredictionGradient(mean, total, of_mean, of_std * share[..., None])

    def _deviation_of_noise(self) -> Any:
        """In the units of y, of every output."""
        noise = self._observed.noise
        if isinstance(noise, np.ndarray):
            raise ValueError("include_noise=True needs one noise for all; each training sample has its own.")
        return self._squeezed(np.sqrt(noise) * self._units.scale, 0)

    def _moments(self, x: Array, gradient: bool) -> tuple[Array, ...]:
        """Mean and deviation in the units of y, and their gradients."""
        scale = self._units.scale
        if not gradient:
            mean, variance = self._observed.moments(x, self._dual)
            return self._in_units(x, mean), self._squeezed(np.multiply.outer(np.sqrt(variance), scale), 1)
        mean, variance, of_mean, of_variance = self._observed.slopes(x, self._dual)
        std = np.sqrt(variance)
        of_std = np.zeros_like(of_variance)
        np.divide(of_variance.T, 2 * std, out=of_std.T, where=std > 0)
        along = scale.reshape(-1, *[1] * (x.ndim - 1))  # of outputs, beside the axes of a sample
        return (
            self._in_units(x, mean),
            self._squeezed(np.multiply.outer(std, scale), 1),
            self._squeezed(of_mean * along, 1),
            self._squeezed(of_std[:, None] * along, 1),
        )

    def _in_units(self, x: Array, z: Array) -> Array:
        """Of shape (m,) or (m, k), for z of shape (m, k)."""
        return self._squeezed(self._units.targets(x, z), 1)

    def _squeezed(self, array: Array, axis: int) -> Array:
        """Without the axis of outputs, where y has none."""
        return array if not self._single else np.squeeze(array, axis)

    def posterior_mean(self, X: ArrayLike) -> Array:
        """Posterior mean alone, of shape (m,) or (m, k): a row of the kernel for each sample, and n multiply-adds."""
        x = self._asked(X)
        return self._in_units(x, self._observed.cross(x) @ self._dual)

    def sample(self, X: ArrayLike, size: int = 1, *, rng: np.random.Generator | int | None = None) -> Array:
        """Draw from the posterior of the noise-free function, at all samples together.

        Parameters
        ----------
        X : array_like of shape (m, d)
            Samples.
        size : int, default 1
            How many functions.
        rng : Generator or int, optional

        Returns
        -------
        ndarray of shape (size, m), or (size, m, k)
            Cost: m n² + m² n + m³ multiply-adds, some times.
        """
        size, x = whole_number(size, "size", least=0), self._asked(X)
        return self._squeezed(self._draws(x, size, rng, noise=0.0), 2)

    def _draws(self, x: Array, size: int, rng: Any, noise: float | Array) -> Array:
        """Targets, of shape (size, m, k), with so much noise."""
        covariance = self._observed.covariance(x)
        covariance[np.diag_indices(len(x))] += noise
        posterior = GPPosterior(self._observed.cross(x) @ self._dual, 0.0, covariance)
        return self._units.targets(x, posterior.sample(size, rng=rng))

    def sample_function(self, *, rng: np.random.Generator | int | None = None) -> SampledFunction:
        """Draw a function from the posterior that can be asked at any samples later, as Thompson sampling does.

        Returns
        -------
        SampledFunction
            Call it with X.

        Examples
        --------
        >>> import fastntk, numpy as np
        >>> from fastntk.inference import GaussianProcess
        >>> model = GaussianProcess(fastntk.mlp(1, "erf", 2.0, 1.0), [[0.0], [1.0]], [0.0, 1.0])
        >>> path = model.sample_function(rng=0)
        >>> first = path([[0.5], [0.7]])
        >>> bool((path([[0.2], [0.7]])[1] == first[1]).all())
        True
        """
        return SampledFunction(self._observed, self._units, self._values, self._single, random_generator(rng, "rng"))

    def _asked(self, X: ArrayLike) -> Array:
        """Samples to predict at."""
        x: Array = samples_of(X)
        if self._observed.are_unlike(x):
            raise ValueError(
                f"X has samples of shape {x.shape[1:]}, but the process was made of {self._observed.x.shape[1:]}."
            )
        return x
