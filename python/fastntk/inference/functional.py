"""Training of wide networks on any loss: gradient descent in function space, integrated numerically."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._checks.arguments import finite_number, positive, whole_number
from .._checks.arrays import real_array
from .._checks.shown import one_line, shown
from .._machine.floating import undisturbed
from . import _checks
from ._checks import Array

#: Of the gradient, in an integration: stiff ones take some thousands.
_MOST_EVALUATIONS = 10**6


@one_line
@dataclass(frozen=True, eq=False, repr=False)
class FunctionalFlow:
    """Outputs along training: result of `functional_flow`."""

    t: Array
    """Of shape (times,)."""
    train: Array
    """Of shape (times, n) or (times, n, k)."""
    test: Array | None
    """Of shape (times, m) or (times, m, k)."""
    cost: Array | None
    """Of shape (times,), if a cost was given."""


@undisturbed
class CrossEntropy:
    """Softmax cross-entropy, summed over samples: a cost of outputs f of shape (n, k), and its gradient.

    Parameters
    ----------
    labels : array_like of int of shape (n,), or of float of shape (n, k)
        Classes 0 ... k - 1, or the probability of each class.
    classes : int, optional
        k, where labels are classes; by default one more than the largest of them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastntk.inference import CrossEntropy
    >>> cost = CrossEntropy([0, 1])
    >>> float(cost(np.zeros((2, 2))) / np.log(2))
    2.0
    >>> cost.gradient(np.zeros((2, 2)))
    array([[-0.5,  0.5],
           [ 0.5, -0.5]])
    """

    def __init__(self, labels: ArrayLike, classes: int | None = None) -> None:
        array = real_array(labels, "labels")
        if array.ndim == 1 and array.dtype.kind in "iu" and array.size and array.min() >= 0:
            k = int(array.max()) + 1 if classes is None else whole_number(classes, "classes", least=1)
            if array.max() >= k:
                raise ValueError(f"labels must be below classes={k}, got {array.max()}.")
            array = np.eye(k)[array]
        elif array.ndim == 2 and classes is not None and array.shape[1] != whole_number(classes, "classes", least=1):
            raise ValueError(f"labels have a probability of {array.shape[1]} classes, not of classes={classes}.")
        if array.ndim != 2 or (array < 0).any() or not np.allclose(array.sum(axis=1), 1):
            raise ValueError(
                f"labels must be whole numbers >= 0 of shape (n,), or probabilities of shape (n, k) whose rows add up "
                f"to 1, got shape {array.shape} and dtype {array.dtype}."
            )
        self.targets: Array = np.array(array, np.float64)

    def __repr__(self) -> str:
        return "CrossEntropy({} samples, {} classes)".format(*self.targets.shape)

    def __call__(self, f: ArrayLike) -> float:
        """Sum over samples of -sum targets log softmax(f)."""
        from scipy.special import logsumexp

        outputs = self._outputs(f)
        return float((logsumexp(outputs, axis=1) - (self.targets * outputs).sum(axis=1)).sum())

    def gradient(self, f: ArrayLike) -> Array:
        """Softmax(f) - targets."""
        from scipy.special import softmax

        return np.asarray(softmax(self._outputs(f), axis=1) - self.targets)

    def _outputs(self, f: ArrayLike) -> Array:
        outputs = np.asarray(f, np.float64)
        if outputs.shape != self.targets.shape:
            raise ValueError(f"f must have shape {self.targets.shape}, (samples, classes), got {outputs.shape}.")
        return outputs


@undisturbed
def dissipation(ntk_train: ArrayLike, gradient: ArrayLike) -> float:
    """Rate at which training lowers the cost: dC/dt = -<grad C, Theta grad C> <= 0.

    Parameters
    ----------
    ntk_train : array_like of shape (n, n)
        Theta of the training samples.
    gradient : array_like of shape (n,) or (n, k)
        Derivative of the cost in the outputs.

    References
    ----------
    Jacot, Gabriel, Hongler, "Neural tangent kernel", NeurIPS 2018, section 3.

    Examples
    --------
    >>> from fastntk.inference import dissipation
    >>> dissipation([[2.0, 1.0], [1.0, 2.0]], [1.0, -1.0])
    -2.0
    """
    theta = _checks.gram(ntk_train, "ntk_train")
    slope = _checks.targets(gradient, "gradient", len(theta))
    return -float((slope * (theta @ slope)).sum())


@undisturbed
def functional_flow(
    ntk_train: ArrayLike,
    gradient: Callable[[Array], Any],
    t: ArrayLike,
    *,
    ntk_cross: ArrayLike | None = None,
    f0_train: ArrayLike,
    f0_test: ArrayLike = 0.0,
    cost: Callable[[Array], float] | None = None,
    rtol: float = 1e-6,
    atol: float = 1e-9,
) -> FunctionalFlow:
    """Outputs of a wide network trained by gradient flow on any cost C(f), by numerical integration.

    Parameters
    ----------
    ntk_train : array_like of shape (n, n)
        Theta of the training samples.
    gradient : callable
        dC/df: takes the outputs, of the shape of f0_train, and returns an array of that shape.
        `CrossEntropy.gradient` is one.
    t : float or array_like of shape (times,)
        Times in ascending order, finite.
    ntk_cross : array_like of shape (m, n), optional
        Theta (test, train).
    f0_train : array_like of shape (n,) or (n, k)
        Outputs at the start, which tell the shape.
    f0_test : float or array_like of shape (m,) or (m, k), default 0.0
        At the test samples.
    cost : callable, optional
        C, to be reported.
    rtol, atol : float, default 1e-6 and 1e-9
        Accuracy of the integration; rtol from 1e-13 to 1, atol > 0.

    Returns
    -------
    FunctionalFlow
        ``t``, ``train``, ``test``, ``cost``.

    Raises
    ------
    ValueError, TypeError
        Shapes that do not fit, NaN (of the gradient too, so that a cost without a lower bound may end here), t < 0,
        infinite or not ascending.
    RuntimeError
        If the integration fails, or takes more than a million gradients.

    Notes
    -----
    ``df(X)/dt = -Theta dC/df(X)`` and ``df(x)/dt = -Theta(x, X) dC/df(X)``, by SciPy's LSODA, which copes with stiff
    modes. For the squared error `GradientFlow` is exact.

    References
    ----------
    Jacot, Gabriel, Hongler, "Neural tangent kernel", NeurIPS 2018, section 3.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> from fastntk.inference import CrossEntropy, functional_flow
    >>> X, cost = np.array([[-1.0], [1.0]]), CrossEntropy([0, 1])
    >>> theta = fastntk.mlp(1, "relu", 1.5, 0.1).ntk(X)
    >>> flow = functional_flow(theta, cost.gradient, [0.0, 1.0, 10.0], f0_train=np.zeros((2, 2)), cost=cost)
    >>> bool((np.diff(flow.cost) < 0).all())
    True
    """
    from scipy.integrate import solve_ivp

    theta = _checks.gram(ntk_train, "ntk_train")
    n = len(theta)
    train = _checks.targets(f0_train, "f0_train", n)
    cross = None if ntk_cross is None else _checks.cross(ntk_cross, "ntk_cross", n)
    kernel = theta if cross is None else np.concatenate((theta, cross))
    start = train
    if cross is not None:
        start = np.concatenate((train, _checks.initial(f0_test, "f0_test", (len(cross), *train.shape[1:]))))
    times = np.atleast_1d(np.array(real_array(t, "t"), np.float64))
    if times.ndim != 1 or (times < 0).any() or (np.diff(times) < 0).any():
        raise ValueError("t must be finite times >= 0 in ascending order.")
    for name, function in (("gradient", gradient), ("cost", cost)):
        if not (callable(function) or (name == "cost" and function is None)):
            raise TypeError(f"{name} must be a function of the outputs, got {shown(function)}.")
    if not 1e-13 <= finite_number(rtol, "rtol") <= 1:
        raise ValueError(f"rtol must be from 1e-13 to 1, got {rtol!r}.")
    positive(atol, "atol")

    evaluations = count(1)
    end = float(times[-1]) if times.size else 0.0

    def slope(_: float, f: Array) -> Array:
        if next(evaluations) > _MOST_EVALUATIONS:
            raise RuntimeError(
                f"the integration failed: after {_MOST_EVALUATIONS} gradients it has not reached t = {end:g}; training "
                "ends earlier where ntk_train is so large."
            )
        outputs = f.reshape(start.shape)[:n].copy()  # which may be changed by who gets them
        value = real_array(gradient(outputs), "gradient(f)", finite=False).astype(np.float64)
        if value.shape != outputs.shape:
            raise ValueError(f"gradient must return an array of shape {outputs.shape}, got {value.shape}.")
        if not np.isfinite(value).all():
            raise ValueError("gradient returned NaN or inf.")
        with np.errstate(over="ignore", invalid="ignore"):  # the next gradient tells
            return np.asarray(-(kernel @ (value * end))).ravel()

    # SciPy wants every time once, and some time to pass, of moderate size: of the end.
    moments, place = np.unique(np.append(0.0, times), return_inverse=True)
    path = start[None]
    if len(moments) > 1:
        parts = moments / end
        found = solve_ivp(slope, (0.0, 1.0), start.ravel(), method="LSODA", t_eval=parts, rtol=rtol, atol=atol)
        if not found.success:
            raise RuntimeError(f"the integration failed: {found.message}")
        path = np.concatenate((path, found.y.T[1:].reshape(-1, *start.shape)))  # the start to the last bit
    path = path[place[1:]]
    costs = None if cost is None else np.array([cost(f.copy()) for f in path[:, :n]])
    return FunctionalFlow(times, path[:, :n], path[:, n:] if cross is not None else None, costs)
