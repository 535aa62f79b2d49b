"""Sequential: layers one after the other, and the kernels of their infinite-width limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn, Self, TypeAlias, TypeVar, overload

from numpy.typing import ArrayLike, DTypeLike

from .._checks.arguments import not_negative, per_layer, standard_deviation, true_or_false
from .._checks.progress import Progress
from .._checks.shown import shown
from ..kernels import computation
from ..kernels.computation import Kernels
from ..kernels.kernel import Kernel
from ..layers.base import Layer, Signal, follow_all, walk
from ..layers.given import LayerLike, Part, chain
from ..layers.migration import check_kernel, check_replace, refuse
from ..layers.weighted import Weighted
from .repeats import repeats
from .summary import Summary, summarize
from .tree import layer_count, tree

T = TypeVar("T")

#: Layers that `print` shows on one line.
_FEW = 3

#: One for all layers, or one for each.
PerLayer: TypeAlias = T | Sequence[T]


class Parameter(NamedTuple):
    """A hyper-parameter of a network: of which layer, numbers joined by dots, its name and value."""

    path: str
    name: str
    value: float


class Sequential:
    r"""An infinitely wide network: layers one after the other.

    Parameters
    ----------
    *layers : layer, str, callable or Sequential
        In the order in which they act; a name or a function of an array stands for its Activation, a Sequential for
        its layers. The first acts on the input itself, whose kernel is
        K = x·x'/d, Theta = 0. Two activations in a row, or one on the raw input, treat what they get as a
        Gaussian of that covariance.

    Attributes
    ----------
    nngp, ntk : fastntk.Kernel
        The kernels: ``net.ntk(X, Y)``, and ``net.ntk.diag(X)``, ``.gradient(X)``, ``.vjp(X, G)``, ``.operator(X)``,
        ``.prepare(Y)``.

    Notes
    -----
    A Dense layer maps (K, Theta) to (sigma_b² + sigma_w² K, K_new + sigma_w² Theta), or sigma_w² Theta if it is not
    trainable; an Activation to
    (F(K), F'(K)·Theta) with F(q1, q2, c) = E[phi(u) phi(v)], (u, v) ~ N(0, [[q1, c], [c, q2]]). Kernels
    are in squared output units. A row x = 0 (in practice, of norm below 1e-290) stands for the limit x → 0 along
    a direction of its own, which all such rows share.

    A slice of a network is a network: ``net[:k]`` gives the kernels after its first k layers. ``a + b`` is b after a,
    ``Sequential(a, b)``, also where two Dense layers meet, as they do in ``net + net``: a linear layer in between.
    `replace` changes the layers with weights. A layer that is used twice has weights of its own each time. The repr is
    text that `fastntk.network` reads; ``print(net)`` draws the tree, a layer on each line, and `summary` has the
    kernels after each. Layers within branches have places such as 2.0.1: layer 1 of branch 0 of layer 2.

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

    __slots__ = ("layers",)

    layers: tuple[Layer, ...]

    def __init__(self, *layers: Part) -> None:
        object.__setattr__(self, "layers", chain(layers))
        follow_all(self.layers, Signal())

    @property
    def parameters(self) -> list[Parameter]:
        """Hyper-parameters, in the order of derivatives: (path, name, value) of each.

        Examples
        --------
        >>> import fastntk
        >>> net = fastntk.Sequential(fastntk.Dense(1.5), fastntk.Residual("relu", fastntk.Dense()))
        >>> net.parameters[0]
        Parameter(path='0', name='sigma_w', value=1.5)
        >>> [(path, name) for path, name, _ in net.parameters[2:]]  # layer 1, its branch 0, of that layer 1
        [('1.0.1', 'sigma_w'), ('1.0.1', 'sigma_b')]
        """
        return [
            Parameter(path, name, value)
            for path, layer in walk(self.layers)
            for name, value in layer.hyperparameters.items()
        ]

    @property
    def nngp(self) -> Kernel:
        """The NNGP kernel K: the covariance of the network's outputs over random parameters."""
        return Kernel(self.layers, "nngp")

    @property
    def ntk(self) -> Kernel:
        """The neural tangent kernel Theta: the inner product of the parameter gradients of two outputs."""
        return Kernel(self.layers, "ntk")

    @refuse(check_kernel)
    def kernels(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        out: Any = None,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
        max_memory: int | str | None = None,
        univariate: bool = True,
    ) -> Kernels:
        """Both kernels in one pass.

        Parameters
        ----------
        X : array_like of shape (n, d)
        Y : array_like of shape (m, d), optional
        out : pair of arrays of shape (n, m), optional
            Where to write (nngp, ntk).
        dtype, progress, max_memory, univariate
            As for each kernel, `Kernel.__call__`.

        Returns
        -------
        Kernels
            Named tuple (nngp, ntk) of arrays of shape (n, m).

        Examples
        --------
        >>> import fastntk
        >>> K, T = fastntk.mlp(depth=1).kernels([[1.0, 0.0], [0.0, 2.0]])
        >>> bool((T >= K).all())
        True
        """
        both = computation.into(
            self.layers, X, Y, "both",
            out=out, dtype=dtype, progress=progress, max_memory=max_memory, univariate=univariate,
        )  # fmt: skip
        return Kernels(*both)

    def summary(self, X: ArrayLike | None = None) -> Summary:
        """Table of the layers, with what K(x, x) and Theta(x, x) of the samples are after each.

        It shows where a deep network explodes or dies: kernels that leave the range of float64 raise nothing here.

        Parameters
        ----------
        X : array_like of shape (n, d), or (n, positions ..., channels), optional
            Samples, also millions. Without them the table has the layers only. Of images and sequences it has means
            over positions.

        Returns
        -------
        Summary
            Its repr is the table, in notebooks as HTML; its attributes are the numbers.

        Raises
        ------
        ValueError, TypeError
            As for `Kernel.__call__`, of X itself.

        Notes
        -----
        Cost: to read X once, and O(n) for each layer and position; where there are pools also what a kernel of each
        sample with itself takes.

        Examples
        --------
        >>> import fastntk
        >>> print(fastntk.mlp(1, "relu", sigma_w=2.0).summary([[1.0, 0.0], [0.0, 2.0]]))
        Sequential of 3 layers, 2 samples of 2 features: K(x, x) = 1.25, from 0.5 to 2
           layer                            shape  mean K(x, x)  least  largest  mean Theta(x, x)  least  largest
        0  Dense(sigma_w=2.0, sigma_b=0.0)  ∞                 5      2        8                 5      2        8
        1  Activation('relu')               ∞               2.5      1        4               2.5      1        4
        2  Dense(sigma_w=2.0, sigma_b=0.0)  ∞                10      4       16                20      8       32
        """
        return summarize(self.layers, X)

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """Raise TypeError: a network of infinite width has no function, but kernels."""
        raise TypeError(
            "a network is not called: its kernels are net.nngp(X, Y) and net.ntk(X, Y), or net.kernels(X, Y) for both; "
            "scikit-learn takes fastntk.sklearn.NTKKernel(network=net)."
        )

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed: make a new one.")

    def __delattr__(self, key: str) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed.")

    def __repr__(self) -> str:
        blocks = ((", ".join(map(repr, block)), count) for block, count in repeats(self.layers))
        return f"{type(self).__name__}({', '.join(t if n == 1 else f'*[{t}] * {n}' for t, n in blocks)})"

    def __str__(self) -> str:
        if len(self) <= _FEW and not any(layer.branches for layer in self):
            return f"{type(self).__name__}({', '.join(map(str, self.layers))})"
        lines = list(tree(self.layers))
        width = max(len(place) for place, _ in lines)
        title = f"{type(self).__name__} of {layer_count(self.layers)}"
        return "\n".join([title, *(f"{place:<{width}}  {text}" for place, text in lines)])

    def __eq__(self, other: object) -> bool:
        return self.layers == other.layers if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), self.layers))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.layers

    def __dask_tokenize__(self) -> Any:
        from dask.base import normalize_token  # knows functions by their code, not by their names

        return normalize_token((type(self).__name__, self.layers))

    def __add__(self, other: LayerLike | Sequential) -> Self:
        return type(self)(self, other)

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, key: int) -> Layer: ...
    @overload
    def __getitem__(self, key: slice) -> Self: ...
    def __getitem__(self, key: int | slice) -> Layer | Self:
        return type(self)(*self.layers[key]) if isinstance(key, slice) else self.layers[key]

    @refuse(check_replace)
    def replace(
        self,
        *,
        sigma_w: PerLayer[float] | None = None,
        sigma_b: PerLayer[float] | None = None,
        trainable: PerLayer[bool] | None = None,
    ) -> Self:
        """Make the same network with other Dense and Conv layers.

        Parameters
        ----------
        sigma_w, sigma_b : float >= 0, or sequence of those, optional
            Of every layer with weights, or one for each of them; by default as they are.
        trainable : bool, or sequence of bool, optional
            Likewise.

        Raises
        ------
        ValueError, TypeError
            As for `Dense`, or if a sequence is not as long as there are layers with weights.

        Examples
        --------
        >>> import fastntk
        >>> net = fastntk.mlp(1, "erf", sigma_w=1.5, sigma_b=0.1)
        >>> net.replace(sigma_w=[2.0, 1.0], trainable=False)[2]
        Dense(sigma_w=1.0, sigma_b=0.1, trainable=False)
        """
        count = sum(isinstance(layer, Weighted) for _, layer in walk(self.layers))
        given = {"sigma_w": sigma_w, "sigma_b": sigma_b, "trainable": trainable}
        columns = {
            name: per_layer(value, name, count, "layers with weights", _CHECKS[name])
            for name, value in given.items()
            if value is not None
        }
        rows = iter([{name: column[i] for name, column in columns.items()} for i in range(count)])
        return self.changed(lambda layer: layer.with_values(**next(rows)) if isinstance(layer, Weighted) else layer)

    def with_parameters(self, values: Sequence[float]) -> Self:
        """Make the same network with other hyper-parameters, in the order of `parameters`.

        Parameters
        ----------
        values : sequence of float >= 0
            One for each.

        Raises
        ------
        ValueError, TypeError
            As for the layers, or if there are not as many.

        Examples
        --------
        >>> import fastntk
        >>> net = fastntk.Sequential(fastntk.Dense(), fastntk.Residual("relu", fastntk.Dense()))
        >>> net.with_parameters([1.5, 0.1, 0.5, 0.0])[1]
        Residual(Activation('relu'), Dense(sigma_w=0.5, sigma_b=0.0))
        """
        given = list(values)
        names = self.parameters
        if len(given) != len(names):
            raise ValueError(f"values must be one for each of {len(names)} hyper-parameters, got {len(given)}.")
        checks = [(_CHECKS.get(name, not_negative), f"{name} of layer {path}") for path, name, _ in names]
        rest = iter([check(value, what) for value, (check, what) in zip(given, checks, strict=True)])

        def change(layer: Layer) -> Layer:
            found = {name: next(rest) for name in layer.hyperparameters}
            return layer.with_values(**found) if found else layer

        return self.changed(change)

    def changed(self, change: Callable[[Layer], Layer]) -> Self:
        """The network with every layer without branches, wherever it is, as `change` makes it."""
        return type(self)(*(layer.changed(change) for layer in self.layers))


_CHECKS: dict[str, Callable[[object, str], Any]] = {
    "sigma_w": standard_deviation,
    "sigma_b": standard_deviation,
    "trainable": true_or_false,
}


def checked(net: object) -> Sequential:
    """``net``, if it is a network."""
    if not isinstance(net, Sequential):
        raise TypeError(f"net must be a Sequential, got {shown(net)}.")
    return net
