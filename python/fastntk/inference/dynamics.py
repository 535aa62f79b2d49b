"""Exact training dynamics of wide networks under the squared error: gradient flow and gradient descent."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .._checks.arguments import finite_number, not_negative
from .._checks.arrays import axes_of
from .._checks.symmetry import entry_error
from .._machine.floating import undisturbed
from . import _checks
from ._checks import Array
from .modes import Modes
from .null_modes import DOUBTFUL
from .precision import error_of_eigenvalues, is_single

_EPSILON = float(np.finfo(np.float64).eps)


@undisturbed
class GradientFlow:
    r"""Outputs of a wide network during training on the loss ½‖f - y‖², summed over samples and outputs.

    Parameters
    ----------
    ntk_train : array_like of shape (n, n)
        Neural tangent kernel Theta of the training samples.
    y : array_like of shape (n,) or (n, k)
        Targets.
    nngp_train : array_like of shape (n, n), optional
        Kernel K of the outputs at initialisation; needed for `covariance`.
    ridge : float, default 0.0
        Weight r of a penalty ½ r ‖theta - theta_0‖² on the parameters' distance from their start. It is added to Theta;
        K stays as it is.

    Raises
    ------
    ValueError, TypeError
        Shapes that do not fit, an asymmetric or indefinite kernel, NaN, negative ridge.

    Notes
    -----
    Outputs of a wide network are linear in its parameters, so that, with Theta_r = Theta + r I,

    ``f_t(x) = f_0(x) + Theta(x, X) Theta_r⁻¹ (I - exp(-Theta_r t)) (y - f_0(X))``,

    at the training samples too. Over random initialisation, f_0 ~ N(0, K), f_t is Gaussian: `mean` is at the f_0 given,
    by default its mean 0, and `covariance` is that of f_t. Eigenmodes of Theta decay as exp(-lambda t). Libraries that
    train on the mean ‖f - y‖² / (2 n k) have a time that is n k times ours.

    With ``learning_rate=`` time is counted in steps of full-batch gradient descent instead, of which every mode has a
    closed form, with or without momentum (heavy ball: v ← momentum v - learning_rate gradient, theta ← theta + v).

    Cost: 4/3 n³ multiply-adds once, 2 n³ before the first covariance, then n² per output and time for means, n² (m + n)
    per time for covariances. Eigenvalues below n machine epsilons of the largest are taken as 0: such modes stay.
    Those of duplicate samples are exact; late times at which outputs depend on how large others are, are refused.

    References
    ----------
    Jacot, Gabriel, Hongler, "Neural tangent kernel", NeurIPS 2018, section 5.
    Lee et al., "Wide neural networks of any depth evolve as linear models", NeurIPS 2019, eq. 14-16.
    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> from fastntk.inference import GradientFlow
    >>> net, X, y = fastntk.mlp(1, "relu", 1.5, 0.1), np.array([[-1.0], [0.5], [1.0]]), np.array([1.0, 0.0, 1.0])
    >>> flow = GradientFlow(net.ntk(X), y)
    >>> flow.mean(0.0)
    array([0., 0., 0.])
    >>> bool(np.allclose(flow.mean(), y))  # training to the end
    True
    >>> flow.mean([0.1, 1.0], net.ntk([[0.0]], X)).shape
    (2, 1)
    """

    def __init__(
        self, ntk_train: ArrayLike, y: ArrayLike, *, nngp_train: ArrayLike | None = None, ridge: float = 0.0
    ) -> None:
        theta = _checks.gram(ntk_train, "ntk_train")
        n = len(theta)
        self.y = _checks.targets(y, "y", n).copy()  # what is changed in place later does not change the flow
        self.nngp_train = None if nngp_train is None else _checks.gram(nngp_train, "nngp_train").copy()
        if self.nngp_train is not None and len(self.nngp_train) != n:
            raise ValueError(f"nngp_train has shape {self.nngp_train.shape}, but ntk_train {theta.shape}.")
        self.ridge = not_negative(ridge, "ridge")
        unknown = error_of_eigenvalues(theta) if is_single(ntk_train) else 0.0
        self._modes = Modes(theta, self.ridge, entry_error(np.asarray(ntk_train)), unknown)

    def __repr__(self) -> str:
        samples, outputs = (*self.y.shape, 1)[:2]
        return f"GradientFlow({samples} samples, {outputs} outputs, ridge={self.ridge:.6g})"

    @property
    def eigenvalues(self) -> Array:
        """Of Theta, in ascending order; those below rounding are 0."""
        return self._modes.eigenvalues

    @cached_property
    def _nngp_modes(self) -> Array:
        assert self.nngp_train is not None
        return np.asarray(self._modes.vectors.T @ self.nngp_train @ self._modes.vectors)

    def _squares(self, f0_train: ArrayLike) -> Array:
        """What every mode contributes to the loss before training."""
        wanted = self._modes.vectors.T @ (self.y - _checks.initial(f0_train, "f0_train", self.y.shape))
        with np.errstate(over="ignore"):
            squares = 0.5 * (wanted.reshape(len(wanted), -1) ** 2).sum(axis=1)
        if not np.isfinite(squares).all():
            raise OverflowError("y - f0_train leaves the range of float64 when squared: divide both by a number.")
        return np.asarray(squares)

    def max_learning_rate(self, momentum: float = 0.0) -> float:
        """Learning rate below which gradient descent converges: 2 (1 + momentum) / largest eigenvalue.

        Of the loss ½‖f - y‖²; for the mean squared error ‖f - y‖² / (2 n k) it is n k times as large.
        """
        return self._modes.max_learning_rate(momentum)

    def mean(
        self,
        t: ArrayLike = np.inf,
        ntk_cross: ArrayLike | None = None,
        *,
        f0_train: ArrayLike = 0.0,
        f0_test: ArrayLike = 0.0,
        learning_rate: float | None = None,
        momentum: float = 0.0,
    ) -> Array:
        """Outputs after training for a time t, given those at the start.

        Parameters
        ----------
        t : float or array_like of shape (times,), default inf
            Times, or numbers of steps if there is a learning rate.
        ntk_cross : array_like of shape (m, n), optional
            Theta (test, train); without it the outputs at the training samples are given.
        f0_train, f0_test : float or array_like, default 0.0
            Outputs of the untrained network, of the shape of y and of the result; f0_test goes with ntk_cross.
        learning_rate : float, optional
            Of gradient descent, instead of gradient flow.
        momentum : float, default 0.0
            Of gradient descent, in [0, 1).

        Returns
        -------
        ndarray of shape (m,) or (m, k)
            For several times of shape (times, m) or (times, m, k).

        Raises
        ------
        numpy.linalg.LinAlgError
            ntk_cross is given, Theta + ridge I is singular to working precision, and t = inf, or so late that outputs
            depend on eigenvalues that are rounding. At the training samples themselves modes of eigenvalue 0 stay as
            they were.
        ValueError, OverflowError
            t < 0 or NaN, a learning rate that diverges and t = inf, or so large a t that it overflowed.
        """
        times = self._modes.times(t, learning_rate, momentum)
        f0 = _checks.initial(f0_train, "f0_train", self.y.shape)
        cross = None if ntk_cross is None else _checks.cross(ntk_cross, "ntk_cross", len(self.y))
        start = f0
        if cross is not None:
            start = _checks.initial(f0_test, "f0_test", (len(cross), *self.y.shape[1:]))
        elif axes_of(f0_test, "f0_test") or f0_test != 0:
            raise ValueError("f0_test has outputs at the start of the test samples: pass ntk_cross too.")
        wanted = self._modes.vectors.T @ (self.y - f0)

        def at(left: Array, gain: Array) -> Array:
            if cross is not None:
                known, stuck = self._modes.split(cross, gain)
                trained = cross @ (self._modes.vectors @ _scale(np.where(known, gain, 0.0), wanted))
                return np.asarray(start + trained + stuck @ wanted[~known])
            remaining = self._modes.remaining(left)
            if remaining.min() < 0.5:  # y less what remains, which may be far below y
                return np.asarray(self.y - self._modes.vectors @ _scale(remaining, wanted))
            return np.asarray(start + self._modes.vectors @ _scale(self._modes.eigenvalues * gain, wanted))

        return self._modes.over(times, learning_rate, momentum, at, invert=cross is not None)

    def dual_coefficients(self, t: ArrayLike = np.inf) -> Array:
        """Of the mean with f_0 = 0: ``ntk_cross @ dual_coefficients(t)`` is ``mean(t, ntk_cross)``.

        But for modes of eigenvalue 0, once t is so late that rounding in ntk_cross would count: they have none.
        """
        wanted = self._modes.vectors.T @ self.y

        def at(_: Array, gain: Array) -> Array:
            lost = (self._modes.eigenvalues <= 0) & (self._modes.rounding * gain > DOUBTFUL)
            return np.asarray(self._modes.vectors @ _scale(np.where(lost, 0.0, gain), wanted))

        return self._modes.over(self._modes.times(t, None, 0.0), None, 0.0, at, invert=True)

    def covariance(
        self,
        t: ArrayLike = np.inf,
        ntk_cross: ArrayLike | None = None,
        nngp_cross: ArrayLike | None = None,
        nngp_test: ArrayLike | None = None,
        *,
        learning_rate: float | None = None,
        momentum: float = 0.0,
    ) -> Array:
        """Covariance of the outputs after training for a time t, over random initialisation.

        Parameters
        ----------
        t, learning_rate, momentum
            As for `mean`.
        ntk_cross, nngp_cross : array_like of shape (m, n), optional
            Theta and K (test, train); without them the covariance at the training samples is given.
        nngp_test : array_like of shape (m, m) or (m,), optional
            K of the test samples; if its diagonal is given, so is that of the result.

        Returns
        -------
        ndarray of shape (m, m) or (m,)
            The same for every output; for several times of shape (times, ...).

        Raises
        ------
        ValueError, OverflowError, numpy.linalg.LinAlgError
            As `mean`; or a kernel that is needed is missing.
        """
        times = self._modes.times(t, learning_rate, momentum)
        if self.nngp_train is None:
            raise ValueError("the covariance over initialisations needs K: pass nngp_train to GradientFlow.")
        given = [name for name, kernel in _named(ntk_cross, nngp_cross, nngp_test) if kernel is not None]
        if given and len(given) < 3:
            missing = " and ".join(name for name, _ in _named(None, None, None) if name not in given)
            raise ValueError(f"the covariance at test samples needs {missing} too.")
        nngp, deviations = self.nngp_train, np.sqrt(np.maximum(self.nngp_train.diagonal(), 0))
        if ntk_cross is None or nngp_cross is None or nngp_test is None:

            def at_train(left: Array, _: Array) -> Array:
                remaining = self._modes.remaining(left)
                root = self._modes.vectors * remaining
                if remaining.min() < 0.5:
                    covariance = root @ self._nngp_modes @ root.T
                else:  # K less what was learned, which may be far below K
                    learned = self._nngp_modes * (np.outer(remaining, remaining) - 1)
                    covariance = nngp + self._modes.vectors @ learned @ self._modes.vectors.T
                spread = np.abs(root @ self._modes.vectors.T) @ deviations
                return _checks.covariance(covariance, spread, "nngp_train is not a kernel matrix")

            return self._modes.over(times, learning_rate, momentum, at_train, invert=False)

        n = len(self.y)
        theta_cross, k_cross = _checks.cross(ntk_cross, "ntk_cross", n), _checks.cross(nngp_cross, "nngp_cross", n)
        if k_cross.shape != theta_cross.shape:
            raise ValueError(f"ntk_cross has {len(theta_cross)} test samples, but nngp_cross {len(k_cross)}.")
        test = _checks.test_kernel(nngp_test, "nngp_test", len(theta_cross))
        theta_modes, k_modes = theta_cross @ self._modes.vectors, k_cross @ self._modes.vectors

        def at_test(_: Array, gain: Array) -> Array:
            known, stuck = self._modes.split(theta_cross, gain)
            trained = theta_modes * np.where(known, gain, 0.0)  # f_t = f_0 + trained V^T (y - f_0(X))
            trained[:, ~known] = stuck
            prior = test if test.ndim == 1 else test.diagonal()
            spread = np.sqrt(np.maximum(prior, 0)) + np.abs(trained @ self._modes.vectors.T) @ deviations
            if test.ndim == 1:
                covariance = test + np.einsum("ij,ij->i", trained @ self._nngp_modes - 2 * k_modes, trained)
            else:
                once = trained @ k_modes.T
                covariance = test - once - once.T + trained @ self._nngp_modes @ trained.T
            return _checks.covariance(covariance, spread, "the kernels are not those of one network")

        return self._modes.over(times, learning_rate, momentum, at_test, invert=True)

    def mode_losses(
        self, t: ArrayLike, *, f0_train: ArrayLike = 0.0, learning_rate: float | None = None, momentum: float = 0.0
    ) -> Array:
        """What every eigenmode, in the order of `eigenvalues`, contributes to the `loss`: (n,) or (times, n)."""
        times, squares = self._modes.times(t, learning_rate, momentum), self._squares(f0_train)

        def at(left: Array, _: Array) -> Array:
            return np.asarray(self._modes.remaining(left) ** 2 * squares)

        return self._modes.over(times, learning_rate, momentum, at, invert=False)

    def loss(
        self, t: ArrayLike, *, f0_train: ArrayLike = 0.0, learning_rate: float | None = None, momentum: float = 0.0
    ) -> float | Array:
        """½‖f_t(X) - y‖² at the training samples: a number, or an array of shape (times,)."""
        losses = self.mode_losses(t, f0_train=f0_train, learning_rate=learning_rate, momentum=momentum).sum(axis=-1)
        return float(losses) if losses.ndim == 0 else np.asarray(losses)

    def time_to(self, loss: float, *, f0_train: ArrayLike = 0.0) -> float:
        """Time of gradient flow after which ½‖f_t(X) - y‖² has fallen to `loss`; 0 if it never was above.

        Raises
        ------
        ValueError
            If it does not fall so far: with a ridge, or a singular Theta.
        """
        from scipy.optimize import brentq

        goal = finite_number(loss, "loss")
        squares = self._squares(f0_train)
        if squares.sum() <= goal:
            return 0.0
        limit = float((self._modes.remaining((self._modes.rates <= 0).astype(np.float64)) ** 2 * squares).sum())
        if not goal > limit:
            raise ValueError(f"the loss only falls to {limit:.6g} as t tends to infinity, never to {goal:.6g}.")

        def excess(log_t: float) -> float:
            left = np.exp(-self._modes.rates * np.exp(log_t))
            return float((self._modes.remaining(left) ** 2 * squares).sum()) - goal

        moving = self._modes.rates[self._modes.rates > 0]
        low = np.log(_EPSILON / moving.max())
        while excess(low) < 0:
            low -= 10
        high = np.log(1 / moving.min())
        while excess(high) > 0 and high < 700:
            high += 1
        return float(np.exp(brentq(excess, low, high, xtol=1e-14)))


def _scale(factor: Array, modes: Array) -> Array:
    return np.asarray((modes.T * factor).T)


def _named(*kernels: ArrayLike | None) -> list[tuple[str, ArrayLike | None]]:
    return list(zip(("ntk_cross", "nngp_cross", "nngp_test"), kernels, strict=True))
