"""GaussianProcess: a model that is made of data once, and asked again and again."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._checks.arguments import true_or_false, whole_number
from ..._checks.arrays import axes_of, read_only, real_array
from ..._checks.shown import shown
from ..._machine.floating import undisturbed
from ...layers.migration import refuse
from ...networks.sequential import Sequential
from ...samples import Ragged
from .. import _checks
from ..cholesky import solve
from ..evidence import LeaveOneOut, left_out, log_density
from ..fitting import Fit, fit_marginal_likelihood
from .answers import Answers
from .observed import Observed, samples_of
from .targets import Mean, Units, check_mean

Array = NDArray[np.float64]


def _check_fit(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    """Arguments of fit, the first of which is the process."""
    if len(args) > 1:
        raise TypeError("fit takes no data: they are those the process was made of, GaussianProcess(net, X, y).fit().")


@undisturbed
class GaussianProcess(Answers):
    r"""A Gaussian process whose covariance is the NNGP kernel of a network, given noisy values of it.

    Immutable: `condition`, `fantasize` and `fit` give others. It pickles with its factor, and several threads may ask
    it at once.

    Parameters
    ----------
    net : Sequential
        Whose NNGP kernel K is the covariance.
    X : array_like of shape (n, d), or (n, positions ..., channels)
        Samples. Everything is computed in float64.
    y : array_like of shape (n,) or (n, k)
        Targets; outputs are independent, with the same kernel.
    noise : float or array_like of shape (n,), default 0.01
        Variance of their noise, in units of the kernel: of the standardised targets, if they are.
    mean : float, "constant" or callable, default 0.0
        Prior mean: a number; the most likely constant, one for each output; or a function of X that returns (n,) or
        (n, k). Its gradient is not known, so that it excludes ``predict(gradient=True)``.
    standardize : bool, default False
        Whether the kernel is that of (y - mean - average) / standard deviation, of every output. All results are in
        the units of y.

    Attributes
    ----------
    net, X, y, noise, mean, standardize
        As given.
    constant, scale : float or ndarray of shape (k,)
        With y = mean + constant + scale z: what was found where the mean is "constant" or y standardised, 0 and 1
        otherwise.
    dual : ndarray of shape (n,) or (n, k)
        (K + noise I)⁻¹ z: the posterior mean of z is ``net.nngp(x, X) @ dual``.
    fitted : Fit or None
        The fit that net and noise come from.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the kernel with its noise is singular to working precision.
    ValueError, TypeError
        Shapes that do not fit, NaN, negative noise, a mean that is none, a network that is none.

    Notes
    -----
    With A = K(X, X) + noise I and alpha = A⁻¹ z: ``mean(x) = k(x)ᵀ alpha``, ``variance(x) = K(x, x) - k(x)ᵀ A⁻¹ k(x)``.
    A = L Lᵀ is factorised once, n³/6 multiply-adds; then a sample costs its row of the kernel and n²/2 for the
    deviation, n² with its gradient (`bench/surrogate.py`). Variances below 0 are treated as `gp_posterior` says.
    Memory: the factor, 8 n² bytes.

    References
    ----------
    Rasmussen and Williams, "Gaussian processes for machine learning", 2006, algorithm 2.1, sections 2.7 and 5.4.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> from fastntk.inference import GaussianProcess
    >>> X = np.linspace(-2, 2, 20)[:, None]
    >>> model = GaussianProcess(fastntk.mlp(1, "erf", 2.0, 1.0), X, np.sin(X[:, 0]), noise=1e-4, mean="constant")
    >>> mean, std = model.predict([[0.5]])
    >>> bool(abs(mean[0] - np.sin(0.5)) < 2 * std[0] < 0.02)
    True
    >>> model.condition([[3.0]], [np.sin(3.0)]).X.shape
    (21, 1)
    """

    __slots__ = ("X", "_settled", "fitted", "mean", "net", "noise", "standardize", "y")

    net: Sequential
    X: Array
    y: Array
    noise: float | Array
    mean: Mean
    standardize: bool
    fitted: Fit | None
    _settled: bool  # whether mean and units are those of another, of which this is a fantasy

    def __init__(
        self,
        net: Sequential,
        X: ArrayLike,
        y: ArrayLike,
        *,
        noise: float | ArrayLike = 1e-2,
        mean: Mean = 0.0,
        standardize: bool = False,
    ) -> None:
        if not isinstance(net, Sequential):
            raise TypeError(f"net must be a fastntk.Sequential, got {shown(net)}.")
        x = samples_of(X)
        if not len(x):
            raise ValueError(f"X has shape {x.shape}: a process is conditioned on one sample at least.")
        if isinstance(x, Ragged) and len(x) == 1 and isinstance(y, Sized) and len(y) > 1:
            raise ValueError(
                f"X is one sample and y has {len(y)} targets: a process is over samples. One over its {x.node}s is "
                "K = net.nngp(X), gp_posterior(K[known][:, known], y[known], K[:, known])."
            )
        targets = _checks.targets(y, "y", len(x))
        variance = _checks.noise(noise, "noise", len(x))
        check_mean(mean)
        standardize = true_or_false(standardize, "standardize")
        variance = variance if isinstance(variance, float) else read_only(variance.copy())
        self._set(
            Observed.at(net, x if isinstance(x, Ragged) else read_only(x.copy()), variance), targets, mean, standardize
        )

    def _set(
        self,
        observed: Observed,
        y: Array,
        mean: Mean,
        standardize: bool,
        *,
        units: Units | None = None,
        fitted: Fit | None = None,
    ) -> Self:
        """Set what there is, in n² multiply-adds."""
        columns = y.reshape(len(y), -1)
        if units is not None:
            settled, values = True, units.values(observed.x, columns)
        else:
            settled = False
            units, values = Units.of(mean, observed.x, columns, standardize=standardize)
            if isinstance(mean, str):
                units, values = units.centred(observed.factor, values)
        everything = {
            "net": observed.net,
            "X": observed.x,
            "y": y.copy(),
            "noise": observed.noise,
            "mean": mean,
            "standardize": standardize,
            "fitted": fitted,
            "_observed": observed,
            "_units": units,
            "_settled": settled,
            "_values": values,
            "_dual": solve(observed.factor, values),
            "_single": y.ndim == 1,
        }
        self.__setstate__(everything)
        return self

    def _with(self, observed: Observed, y: Array, **options: Any) -> GaussianProcess:
        """Another one, of the same mean and units or what they are of other targets."""
        made = object.__new__(GaussianProcess)
        return made._set(observed, y, self.mean, self.standardize, **({"fitted": self.fitted} | options))

    @property
    def constant(self) -> float | Array:  # noqa: D102
        return self._of_outputs(self._units.centre)

    @property
    def scale(self) -> float | Array:  # noqa: D102
        return self._of_outputs(self._units.scale)

    @property
    def dual(self) -> Array:  # noqa: D102
        return self._squeezed(self._dual, 1)

    def _of_outputs(self, numbers: Array) -> float | Array:
        return float(numbers[0]) if self.y.ndim == 1 else numbers.copy()

    def condition(self, X: ArrayLike, y: ArrayLike, *, noise: float | ArrayLike | None = None) -> GaussianProcess:
        """The process given more data: a new one of all, as if made of them at once.

        Parameters
        ----------
        X : array_like of shape (m, d)
            New samples.
        y : array_like of shape (m,) or (m, k)
            Their targets.
        noise : float or array_like of shape (m,), optional
            Variance of their noise, by default that of the others; needed where each of these has its own. As that of
            the others, in units of standardised targets, if they are.

        Returns
        -------
        GaussianProcess
            Where the mean is "constant", or targets are standardised, by those of all data.

        Raises
        ------
        numpy.linalg.LinAlgError, ValueError, TypeError
            As the constructor.

        Notes
        -----
        The Cholesky factor is extended: n² multiply-adds for each new sample, and a copy of the factor.

        Examples
        --------
        >>> import fastntk, numpy as np
        >>> from fastntk.inference import GaussianProcess
        >>> net, X = fastntk.mlp(1, "erf", 2.0, 1.0), np.linspace(-1, 1, 9)[:, None]
        >>> extended = GaussianProcess(net, X[:5], X[:5, 0]).condition(X[5:], X[5:, 0])
        >>> bool(np.allclose(extended.predict([[0.3]]), GaussianProcess(net, X, X[:, 0]).predict([[0.3]]), 1e-12))
        True
        """
        x, variance = self._new(X, noise)
        targets = _checks.targets(y, "y", len(x))
        if targets.shape[1:] != self.y.shape[1:]:
            wanted = (len(x), *self.y.shape[1:])
            raise ValueError(f"y must have shape {wanted}, as the targets that it adds to, got {targets.shape}.")
        together = np.concatenate((self.y, targets))
        units = self._units if self._settled else None
        return self._with(self._observed.extended(x, variance), together, units=units)

    def fantasize(
        self,
        X: ArrayLike,
        samples: int | ArrayLike = 1,
        *,
        noise: float | ArrayLike | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> GaussianProcess:
        """The process given targets at X that are not known yet: drawn from what it predicts, noise included.

        Parameters
        ----------
        X : array_like of shape (m, d)
            Samples to be observed.
        samples : int or array_like of shape (size, m), or (size, m, k), default 1
            How many times to draw their targets; or these targets, such as `sample` draws.
        noise : float or array_like of shape (m,), optional
            Variance of their noise, as for `condition`.
        rng : Generator or int, optional

        Returns
        -------
        GaussianProcess
            With `size` outputs, one for each draw; k for each, if y has k. Mean and units are those of this one.

        Notes
        -----
        Cost: that of one `condition` for all draws, and n multiply-adds for each.

        Examples
        --------
        >>> import fastntk, numpy as np
        >>> from fastntk.inference import GaussianProcess
        >>> model = GaussianProcess(fastntk.mlp(1, "erf", 2.0, 1.0), [[0.0], [1.0]], [0.0, 1.0], noise=1e-4)
        >>> futures = model.fantasize([[2.0]], 64, rng=0)
        >>> futures.predict([[1.5]]).mean.shape
        (1, 64)
        """
        x, variance = self._new(X, noise)
        wanted = (len(x), *self.y.shape[1:])
        if axes_of(samples, "samples") == 0:
            size = whole_number(samples, "samples", least=1)
            draws = self._draws(x, size, rng, variance)
        else:
            draws = np.asarray(real_array(samples, "samples"), np.float64)
            if draws.shape[1:] != wanted or not len(draws):
                expected = ", ".join(map(str, wanted))
                raise ValueError(f"samples must be a number or of shape (size, {expected}), got {draws.shape}.")
        draws = draws.reshape(len(draws), len(x), -1)
        new = np.moveaxis(draws, 0, 1).reshape(len(x), -1)
        old = np.tile(self.y.reshape(len(self.y), -1), len(draws))
        units = self._units.repeated(len(draws))
        return self._with(self._observed.extended(x, variance), np.concatenate((old, new)), units=units)

    @refuse(_check_fit)
    def fit(self, **options: Any) -> GaussianProcess:
        """Maximise the marginal likelihood over the hyper-parameters of the network and the noise.

        Parameters
        ----------
        **options
            Those of `fit_marginal_likelihood` but the network, the data, the noise and the mean, which are its own:
            noise of every sample is kept, and so is one number with ``noise_bounds="fixed"``.

        Returns
        -------
        GaussianProcess
            Of the network and the noise found; ``fitted`` has what was found on the way.

        Warns
        -----
        FitWarning
            As `fit_marginal_likelihood`.

        Examples
        --------
        >>> import fastntk, numpy as np
        >>> from fastntk.inference import GaussianProcess
        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(-2, 2, size=(60, 1))
        >>> y = np.sin(2 * X[:, 0]) + 0.1 * rng.normal(size=60)
        >>> model = GaussianProcess(fastntk.mlp(1, "erf", 2.0, 1.0), X, y).fit()
        >>> bool(0.005 < model.noise < 0.02)  # the truth is 0.01
        True
        """
        refused = {"net", "X", "y", "noise", "kind", "constant"} & options.keys()
        if refused:
            raise TypeError(f"fit takes the options of fit_marginal_likelihood, but not {', '.join(sorted(refused))}.")
        own = not self._settled  # mean and units, which a fantasy has of the process it is one of
        constant = own and isinstance(self.mean, str)
        if (constant or (own and self.standardize)) and (self.y == self.y[0]).all():  # what is left of it is rounding
            raise ValueError("y is constant: there is nothing to fit. Predict with this process until it varies.")
        noise = self.noise if np.any(self.noise) else None
        found = fit_marginal_likelihood(self.net, self.X, self._values, noise=noise, constant=constant, **options)
        units = self._units if self._settled else None
        return self._with(Observed.at(found.network, self.X, found.noise), self.y, units=units, fitted=found)

    def log_marginal_likelihood(self) -> float:
        """Log probability density of y, summed over outputs.

        Examples
        --------
        >>> import fastntk
        >>> from fastntk.inference import GaussianProcess
        >>> model = GaussianProcess(fastntk.mlp(0), [[1.0]], [0.0], noise=0.0)  # K(x, x) = 1
        >>> round(model.log_marginal_likelihood(), 6)  # -log sqrt(2 pi)
        -0.918939
        """
        density = log_density(self._observed.factor, self._values, self._dual)
        return density - len(self.y) * float(np.log(self._units.scale).sum())

    def leave_one_out(self) -> LeaveOneOut:
        """Predictions of every target from all others, in closed form; with mean and units of all.

        Returns
        -------
        LeaveOneOut
            As `fastntk.inference.leave_one_out`, in the units of y; the variance is of the shape of y.
        """
        found = left_out(self._observed.factor.copy(order="F"), self._values, self._dual)
        scale = self._units.scale
        return LeaveOneOut(
            self._in_units(self.X, found.mean),
            self._squeezed(np.multiply.outer(found.variance, scale**2), 1),
            found.log_density - len(self.y) * float(np.log(scale).sum()),
        )

    def _new(self, X: ArrayLike, noise: float | ArrayLike | None) -> tuple[Array, float | Array]:
        """Samples to be observed, and the variance of their noise."""
        x = self._asked(X)
        if not len(x):
            raise ValueError(f"X has shape {x.shape}: one new sample at least is needed.")
        if noise is None and isinstance(self.noise, np.ndarray):
            raise ValueError(f"each sample has its own noise: pass noise=, of shape ({len(x)},), of the new ones.")
        return x, _checks.noise(self.noise if noise is None else noise, "noise", len(x))

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, read_only(value) if isinstance(value, np.ndarray) else value)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*GaussianProcess.__slots__, *Answers.__slots__)}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a GaussianProcess is immutable; make another one for another {name}.")

    def __repr__(self) -> str:
        noise = f"{self.noise:.6g}" if isinstance(self.noise, float) else shown(self.noise)
        parts = [shown(self.net), f"{len(self.X)} samples", f"noise={noise}"]
        if callable(self.mean):
            parts.append(f"mean={getattr(self.mean, '__name__', type(self.mean).__name__)}")
        elif self.mean != 0:
            parts.append(f"mean={self.mean!r}")
        parts += ["standardize=True"] * self.standardize
        return f"GaussianProcess({', '.join(parts)})"
