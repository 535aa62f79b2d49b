"""Networks: layers, their composition, and the kernels of their infinite-width limit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn, overload

from . import blocks, gradients, kernels
from ._shown import shown
from ._validation import per_layer, standard_deviation, whole_number
from .activations import Activation
from .derived import Derived
from .layers import Dense
from .migration import check_kernel, check_mlp, refuse
from .stack import PerLayer, Stack

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from .gradients import Gradient
    from .kernels import Kernels, Kind, Progress


class Sequential(Derived):
    r"""An infinitely wide network: layers one after the other.

    Parameters
    ----------
    *layers : Dense, Activation, str, callable or Sequential
        In the order in which they act; a name or a function of an array stands for its Activation, a Sequential for
        its layers. The first acts on the input itself, whose kernel is
        K = x·x'/d, Theta = 0. Two activations in a row, or one on the raw input, treat what they get as a
        Gaussian of that covariance.

    Notes
    -----
    A Dense layer maps (K, Theta) to (sigma_b² + sigma_w² K, K_new + sigma_w² Theta), or sigma_w² Theta if it is not
    trainable; an Activation to
    (F(K), F'(K)·Theta) with F(q1, q2, c) = E[phi(u) phi(v)], (u, v) ~ N(0, [[q1, c], [c, q2]]). Kernels
    are in squared output units. A row x = 0 (in practice, of norm below 1e-290) stands for the limit x → 0 along
    a direction of its own.

    A slice of a network is a network: ``net[:k]`` gives the kernels after its first k layers. ``a + b`` is b after a,
    ``Sequential(a, b)``, and `replace` changes the Dense layers. A layer that is used twice has weights of its own each
    time.

    References
    ----------
    Lee et al., "Deep neural networks as Gaussian processes", ICLR 2018, eq. 4-5.
    Jacot, Gabriel, Hongler, "Neural tangent kernel", NeurIPS 2018, theorem 1.

    Examples
    --------
    >>> import fastntk
    >>> net = fastntk.Sequential(fastntk.Dense(1.5, 0.1), "erf", fastntk.Dense())
    >>> net.ntk([[1.0, 0.0], [0.0, 1.0]]).shape
    (2, 2)
    >>> net[:2]
    Sequential(Dense(sigma_w=1.5, sigma_b=0.1), Activation('erf', a=1.0, b=1.0, c=0.0))
    >>> len(net + "relu" + fastntk.Dense())
    5
    """

    __slots__ = ()

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """Raise TypeError: a network of infinite width has no function, but kernels."""
        raise TypeError(
            "a network is not called: its kernels are net.nngp(X, Y) and net.ntk(X, Y), or net.kernels(X, Y) for both; "
            "scikit-learn takes fastntk.sklearn.NTKKernel(network=net)."
        )

    @overload
    def nngp(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        gradient: Literal[False] = False,
        out: Any = None,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
        univariate: bool = True,
        max_memory: int | str | None = None,
    ) -> NDArray[Any]: ...
    @overload
    def nngp(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        gradient: Gradient,
        out: None = None,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
        univariate: bool = True,
        max_memory: int | str | None = None,
    ) -> tuple[NDArray[Any], NDArray[Any]]: ...
    @refuse(check_kernel)
    def nngp(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        gradient: Literal[False] | Gradient = False,
        out: Any = None,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
        univariate: bool = True,
        max_memory: int | str | None = None,
    ) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]:
        """NNGP kernel K: the covariance of the network's outputs over random parameters.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Samples. float32 is computed in float32, float64 in float64; integers and bool become float64,
            float16 becomes float32. NaN and inf are refused.
        Y : array_like of shape (m, d), optional
            Other samples. Without them the result is the exactly symmetric kernel of X with itself.
        gradient : {False, True, "shared"}, default False
            Also the derivatives in the hyper-parameters, in float64 and then rounded to dtype: True, of every Dense
            layer, in the order sigma_w, sigma_b of the first, of the second, ...; "shared", of one sigma_w and one
            sigma_b that all layers have in common.
        out : array of shape (n, m), optional
            Where to write: any writable ndarray of the right dtype; an np.memmap or a Zarr array block by block.
        dtype : {"float32", "float64"}, optional
            Precision of the computation and of the result, whatever X is.
        progress : bool or callable, default False
            True shows a bar where it takes more than a second; a callable is called with the fraction done.
        univariate : bool, default True
            Where the whole network is a function of the angle alone (no bias and positively homogeneous activations,
            or inputs of equal norm) and large enough, evaluate it as one polynomial where that is found to err by
            little: up to 5e-15 in float64, 5e-7 in float32, twice the tolerance of an expansion where that is more,
            relative to the diagonals. False, with `gradient` and to files: layer by layer.
        max_memory : int or str, optional
            Bytes, or "4 GiB", that blocks on their way to a file may take; a quarter of what is free by default.

        Returns
        -------
        ndarray of shape (n, m)
            In squared output units; with k outputs the full kernel is ``np.kron(K, np.eye(k))``. With `gradient`
            a pair: the kernel, and an array of shape (p, n, m) with its derivatives in p parameters.

        Raises
        ------
        ValueError, TypeError
            Input that is not a finite real matrix, an unusable ``out``, or a kernel out of the range of dtype:
            K(x, x) of a row that overflows, or is not 0 and below the smallest normal number.
        MemoryError
            If the result does not fit.

        Notes
        -----
        Cost: n m d multiply-adds, half of it without Y, and some 10 to 50 per pair and layer. Nothing but
        the result is allocated but scratch: up to 40 MiB, about 0.6 MiB per thread, and 100 bytes per sample and
        layer. Same bits for any number of threads. Input whose rows are nearly all duplicates up to scale is slower.

        Examples
        --------
        >>> import fastntk
        >>> net = fastntk.mlp(depth=1, activation="relu", sigma_w=2**0.5)
        >>> net.nngp([[1.0, 0.0], [0.0, 2.0]]).round(4)
        array([[1.    , 0.6366],
               [0.6366, 4.    ]])
        """
        if gradient is not False:
            (value,), (slopes,) = gradients.compute(
                self.layers, X, Y, "nngp", gradient, out=out, dtype=dtype, progress=progress
            )
            return value, slopes
        (value,) = self._compute(X, Y, "nngp", out, dtype, progress, univariate, max_memory)
        return value

    @overload
    def ntk(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        gradient: Literal[False] = False,
        out: Any = None,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
        univariate: bool = True,
        max_memory: int | str | None = None,
    ) -> NDArray[Any]: ...
    @overload
    def ntk(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        gradient: Gradient,
        out: None = None,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
        univariate: bool = True,
        max_memory: int | str | None = None,
    ) -> tuple[NDArray[Any], NDArray[Any]]: ...
    @refuse(check_kernel)
    def ntk(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        gradient: Literal[False] | Gradient = False,
        out: Any = None,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
        univariate: bool = True,
        max_memory: int | str | None = None,
    ) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]:
        """Neural tangent kernel Theta: the inner product of the parameter gradients of two outputs.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Samples, as for `nngp`.
        Y : array_like of shape (m, d), optional
            Other samples; without them the result is the exactly symmetric kernel of X with itself.
        gradient : {False, True, "shared"}, default False
            Also the derivatives in the hyper-parameters, as for `nngp`.
        out : ndarray of shape (n, m), optional
            Where to write.
        dtype : {"float32", "float64"}, optional
            Precision of the computation and of the result; that of X by default.
        progress : bool or callable, default False
            True shows a bar where it takes more than a second; a callable is called with the fraction done.
        univariate : bool, default True
            Where the whole network is a function of the angle alone (no bias and positively homogeneous activations,
            or inputs of equal norm) and large enough, evaluate it as one polynomial where that is found to err by
            little: up to 5e-15 in float64, 5e-7 in float32, twice the tolerance of an expansion where that is more,
            relative to the diagonals. False, with `gradient` and to files: layer by layer.
        max_memory : int or str, optional
            Bytes, or "4 GiB", that blocks on their way to a file may take; a quarter of what is free by default.

        Returns
        -------
        ndarray of shape (n, m)
            In squared output units. With `gradient` a pair, as for `nngp`.

        Errors and cost are those of `nngp`.

        Examples
        --------
        >>> import fastntk
        >>> net = fastntk.mlp(depth=1, activation="relu", sigma_w=2**0.5)
        >>> net.ntk([[1.0, 0.0], [0.0, 2.0]]).round(4)
        array([[2.    , 0.6366],
               [0.6366, 8.    ]])
        """
        if gradient is not False:
            (value,), (slopes,) = gradients.compute(
                self.layers, X, Y, "ntk", gradient, out=out, dtype=dtype, progress=progress
            )
            return value, slopes
        (value,) = self._compute(X, Y, "ntk", out, dtype, progress, univariate, max_memory)
        return value

    @overload
    def kernels(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        gradient: Literal[False] = False,
        out: Any = None,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
        univariate: bool = True,
        max_memory: int | str | None = None,
    ) -> Kernels: ...
    @overload
    def kernels(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        gradient: Gradient,
        out: None = None,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
        univariate: bool = True,
        max_memory: int | str | None = None,
    ) -> tuple[Kernels, Kernels]: ...
    @refuse(check_kernel)
    def kernels(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        gradient: Literal[False] | Gradient = False,
        out: Any = None,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
        univariate: bool = True,
        max_memory: int | str | None = None,
    ) -> Kernels | tuple[Kernels, Kernels]:
        """Both kernels in one pass.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Samples, as for `nngp`.
        Y : array_like of shape (m, d), optional
            Other samples; without them the result is the exactly symmetric kernel of X with itself.
        gradient : {False, True, "shared"}, default False
            Also the derivatives in the hyper-parameters, as for `nngp`.
        out : pair of ndarrays of shape (n, m), optional
            Where to write.
        dtype : {"float32", "float64"}, optional
            Precision of the computation and of the result; that of X by default.
        progress : bool or callable, default False
            True shows a bar where it takes more than a second; a callable is called with the fraction done.
        univariate : bool, default True
            Where the whole network is a function of the angle alone (no bias and positively homogeneous activations,
            or inputs of equal norm) and large enough, evaluate it as one polynomial where that is found to err by
            little: up to 5e-15 in float64, 5e-7 in float32, twice the tolerance of an expansion where that is more,
            relative to the diagonals. False, with `gradient` and to files: layer by layer.
        max_memory : int or str, optional
            Bytes, or "4 GiB", that blocks on their way to a file may take; a quarter of what is free by default.

        Returns
        -------
        Kernels
            Named tuple (nngp, ntk) of arrays of shape (n, m). With `gradient` a pair of such: kernels, and their
            derivatives, of shape (p, n, m).

        Errors and cost are those of `nngp`.

        Examples
        --------
        >>> import fastntk
        >>> K, T = fastntk.mlp(depth=1).kernels([[1.0, 0.0], [0.0, 2.0]])
        >>> bool((T >= K).all())
        True
        """
        if gradient is not False:
            both, slopes = gradients.compute(
                self.layers, X, Y, "both", gradient, out=out, dtype=dtype, progress=progress
            )
            return kernels.Kernels(*both), kernels.Kernels(*slopes)
        return kernels.Kernels(*self._compute(X, Y, "both", out, dtype, progress, univariate, max_memory))

    def _compute(
        self,
        X: ArrayLike,
        Y: ArrayLike | None,
        kind: Kind,
        out: Any,
        dtype: DTypeLike | None,
        progress: Progress,
        univariate: bool,
        max_memory: int | str | None,
    ) -> list[NDArray[Any]]:
        if blocks.is_large(out):
            return blocks.compute(
                self.layers, X, Y, kind, out=out, dtype=dtype, progress=progress, max_memory=max_memory
            )
        return kernels.compute(self.layers, X, Y, kind, out=out, dtype=dtype, progress=progress, univariate=univariate)


#: Layers of `mlp`, at most: so many take ten seconds to make.
_DEEPEST = 10**6

Hidden = str | Activation | Callable[["NDArray[Any]"], "NDArray[Any]"]


@refuse(check_mlp)
def mlp(
    depth: int = 1,
    activation: PerLayer[Hidden] = "relu",
    sigma_w: PerLayer[float] = 1.0,
    sigma_b: PerLayer[float] = 0.0,
    *,
    frozen: int = 0,
    **parameters: Any,
) -> Sequential:
    """Build a multi-layer perceptron: Dense, then `depth` times (Activation, Dense).

    Parameters
    ----------
    depth : int >= 0
        Number of hidden layers, i.e. of nonlinearities. 0 is the linear model.
    activation : str, callable or Activation, or sequence of `depth` of those
        The nonlinearity of every hidden layer, or of each: a name that `Activation` knows, a function of an array, or
        an Activation.
    sigma_w, sigma_b : float >= 0, or sequence of `depth` + 1 of those
        Standard deviations of weights and biases in every Dense layer, or in each. With ReLU, sigma_w = 2**0.5 keeps
        the kernel's size through the layers; 1 halves it in each.
    frozen : int from 0 to depth + 1, default 0
        How many of the first Dense layers are not trained (``Dense(trainable=False)``).
    **parameters
        Of the activation, where it is one name or function for all layers: ``mlp(3, "leaky_relu", alpha=0.1)`` has
        ``Activation("leaky_relu", alpha=0.1)``.

    Returns
    -------
    Sequential

    Raises
    ------
    ValueError, TypeError
        As for `Dense` and `Activation`, or if a sequence has not one entry for each layer; an integer from 10 on as a
        sigma_w by position, which is taken for a width.

    Examples
    --------
    >>> import fastntk
    >>> fastntk.mlp(1, "relu", sigma_w=1.5)
    Sequential(Dense(sigma_w=1.5, sigma_b=0.0), Activation('relu'), Dense(sigma_w=1.5, sigma_b=0.0))
    >>> fastntk.mlp(2, ["erf", "relu"], sigma_w=[1.0, 2.0, 1.0]) == fastntk.Sequential(
    ...     fastntk.Dense(1.0), "erf", fastntk.Dense(2.0), "relu", fastntk.Dense(1.0)
    ... )
    True
    """
    depth = whole_number(depth, "depth", least=0)
    if depth > _DEEPEST:
        raise ValueError(f"depth must be at most {_DEEPEST}, got {shown(depth)}.")
    weights = per_layer(sigma_w, "sigma_w", depth + 1, "Dense layers", standard_deviation)
    biases = per_layer(sigma_b, "sigma_b", depth + 1, "Dense layers", standard_deviation)
    hidden = per_layer(activation, "activation", depth, "hidden layers", partial(_hidden, parameters=parameters))
    frozen = whole_number(frozen, "frozen", least=0, most=depth + 1)
    first, *others = (
        Dense(sigma_w=w, sigma_b=b, trainable=i >= frozen) for i, (w, b) in enumerate(zip(weights, biases, strict=True))
    )
    return Sequential(first, *(layer for pair in zip(hidden, others, strict=True) for layer in pair))


def _hidden(value: Any, name: str, *, parameters: dict[str, Any]) -> Activation:
    """One entry of `activation`; its name tells whether it is the only one."""
    if isinstance(value, (Stack, Dense)):
        raise TypeError(f"{name} must be the name of an activation, a function or an Activation, got {shown(value)}.")
    if not parameters:
        return value if isinstance(value, Activation) else Activation(value)
    if name != "activation" or isinstance(value, Activation):
        raise TypeError(
            f"mlp takes {', '.join(parameters)} for one activation that is given by its name or function; an "
            f"Activation has parameters of its own: Activation(name, {next(iter(parameters))}=...)."
        )
    return Activation(value, **parameters)
