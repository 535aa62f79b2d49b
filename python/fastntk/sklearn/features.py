"""Random features of the ReLU kernels: a linear model on them is a rough kernel method, for any number of rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._checks.arguments import one_of, whole_number
from .._checks.shown import shown
from .._machine import runtime
from .._machine.floating import undisturbed
from ..layers.activation import Activation
from ..layers.base import Layer
from ..layers.dense import Dense
from ..samples import Ragged
from .base import NetworkEstimator, whole
from .parameters import with_parameters

Array = NDArray[Any]

#: A bias, one feature of each order, and one to spare; if fewer are asked for these are put together.
_FEWEST = 4

#: Of the widest array of a chunk of rows.
_CHUNK_BYTES = 2**25


@with_parameters
class NTKFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NetworkEstimator):  # type: ignore[misc]
    """Features whose inner products are estimates of the NTK, or of the NNGP kernel, of a ReLU network.

    A rough model: the error falls as one over the square root of `n_components`; relative to the kernel it is 4 %
    with 4,096 of them at depth 1, 10 % at depth 3 (docs/large.md). Features are for linear models that learn row by
    row; where passes over the data are affordable, `NystromNTKRegressor` fits the kernel itself.

    Parameters
    ----------
    n_components : int >= 1, default 1024
        How many features.
    depth : int >= 1, default 1
        Number of hidden layers.
    kind : {"ntk", "nngp"}, default "ntk"
        Which kernel.
    network : Sequential, optional
        Dense and ReLU layers in turn, beginning and ending with Dense, instead of depth and sigmas.
    random_state : int, RandomState or None, default None

    Attributes
    ----------
    network_ : Sequential
        The network used.
    n_features_in_ : int
        Number of features of X.

    Notes
    -----
    With features f of K^l and g of Theta^l behind a Dense layer, those behind a ReLU are relu(W f) and the tensor
    product of step(W' f) and g, W and W' Gaussian; a TensorSketch brings the product down to as many features as W has.
    Cost: 2 depth n_components^2 multiply-adds a row, and as many numbers in memory, in the precision of X. Shape of the
    result: (n, n_components).

    References
    ----------
    Zandieh, Han, Avron, Shoham, Kim, Shin, "Scaling neural tangent kernels via sketching and random features",
    NeurIPS 2021, algorithm 1. Pham, Pagh, "Fast and scalable polynomial kernels via explicit feature maps", KDD 2013.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> from fastntk.sklearn import NTKFeatures
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits(return_X_y=True)[0]
    >>> Z = NTKFeatures(4000, depth=2, sigma_w=2**0.5, random_state=0).fit_transform(X)
    >>> K = fastntk.mlp(2, "relu", 2**0.5).ntk(X)
    >>> bool(np.linalg.norm(Z @ Z.T - K) < 0.1 * np.linalg.norm(K))
    True
    """

    n_components: int = field(default=1024, kw_only=False)
    depth: int = 1
    activation: str | Activation = field(default="relu", init=False)
    sigma_w: float = 1.0
    sigma_b: float = 0.0
    kind: Literal["ntk", "nngp"] = "ntk"
    random_state: Any = None

    def _samples(self, X: ArrayLike, *, reset: bool) -> Array:
        if isinstance(X, Ragged):
            raise TypeError(f"random features are those of networks on vectors, got {type(X).__name__}.")
        return super()._samples(X, reset=reset)

    @undisturbed
    @whole
    def fit(self, X: ArrayLike, y: Any = None) -> NTKFeatures:  # noqa: ARG002
        """Draw the features: of X only its shape and precision matter."""
        net = self._make_network()
        wanted = whole_number(self.n_components, "n_components", least=1)
        count = max(wanted, _FEWEST)
        one_of(self.kind, "kind", ("nngp", "ntk"))
        x = self._samples(X, reset=True)
        dense = _dense_layers(net.layers)
        trained = [self.kind == "ntk" and layer.trainable for layer in dense]
        if self.kind == "ntk" and not any(trained):
            raise ValueError("no layer is trainable: the NTK is zero.")
        rng = check_random_state(self.random_state)
        hidden: list[_Relu] = []
        f, g = x.shape[1], 0  # how many features K and Theta have
        for i, layer in enumerate(dense):
            f += bool(layer.sigma_b)
            g += f if trained[i] else 0
            if i < len(dense) - 1:
                width, sketch = count, count
                if i == len(dense) - 2:  # what the last layer puts together is `count` features
                    left = count - bool(dense[-1].sigma_b)
                    width, sketch = (left, count) if not (g and trained[-1]) else (left // 2, left - left // 2)
                hidden.append(_Relu.draw(f, g, width, sketch, rng, x.dtype))
                f, g = width, sketch if g else 0
        fewer = _count_sketch(count, wanted, rng, x.dtype)
        # A later set_params does not mix with it.
        self.network_, self._n_features_out, self._fitted_kind = net, wanted, self.kind
        self._dense, self._hidden, self._fewer = dense, hidden, fewer
        return self

    @undisturbed
    def transform(self, X: ArrayLike) -> Array:
        """Features of rows of X, of shape (n, n_components)."""
        check_is_fitted(self)
        x = self._samples(X, reset=False)
        out = np.empty((len(x), self._n_features_out), x.dtype)
        step = max(16, _CHUNK_BYTES // (8 * max(self._n_features_out, x.shape[1])))
        for i in range(0, len(x), step):
            features = self._features(x[i : i + step])
            out[i : i + step] = features if features.shape[1] == out.shape[1] else features @ self._fewer
        return out

    def _features(self, x: Array) -> Array:
        f, g = x / x.dtype.type(x.shape[1] ** 0.5), x[:, :0]
        for i, layer in enumerate(self._dense):
            bias = np.full((len(f), int(bool(layer.sigma_b))), layer.sigma_b, f.dtype)
            f = np.concatenate((bias, layer.sigma_w * f), axis=1)
            trained = self._fitted_kind == "ntk" and layer.trainable
            g = np.concatenate((f if trained else f[:, :0], layer.sigma_w * g), axis=1)
            if i < len(self._hidden):
                f, g = self._hidden[i](f, g)
        return f if self._fitted_kind == "nngp" else g

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _dense_layers(layers: tuple[Layer, ...]) -> list[Dense]:
    in_turn = all(
        isinstance(layer, Dense) and layer.parametrization == "ntk"
        if i % 2 == 0
        else isinstance(layer, Activation) and layer == Activation("relu")
        for i, layer in enumerate(layers)
    )
    if not (in_turn and len(layers) >= 3 and len(layers) % 2):
        raise ValueError(
            "random features are those of a network with Dense and ReLU layers in turn, of the ntk parametrization, "
            f"that begins and ends with Dense and has at least one ReLU; got {shown(list(layers))}."
        )
    return [layer for layer in layers if isinstance(layer, Dense)]


@dataclass(frozen=True)
class _Relu:
    """What a ReLU makes of features f of K and g of Theta (of shape (n, 0) where Theta is zero)."""

    order1: Array
    order0: Array
    sketches: tuple[csr_array, csr_array]

    @classmethod
    def draw(cls, f: int, g: int, width: int, sketch: int, rng: np.random.RandomState, dtype: np.dtype[Any]) -> _Relu:
        steps = sketch if g else 0
        return cls(
            rng.standard_normal((f, width)).astype(dtype) / dtype.type(width**0.5),
            rng.standard_normal((f, steps)).astype(dtype),
            (_count_sketch(steps, sketch, rng, dtype), _count_sketch(g, sketch, rng, dtype)),
        )

    def __call__(self, f: Array, g: Array) -> tuple[Array, Array]:
        arc_cosine1 = np.maximum(f @ self.order1, 0)
        if not g.shape[1]:
            return arc_cosine1, g
        steps = (f @ self.order0 > 0).astype(f.dtype) / f.dtype.type(self.order0.shape[1] ** 0.5)
        left, right = (
            scipy.fft.rfft(part @ sketch, workers=runtime.threads())
            for part, sketch in zip((steps, g), self.sketches, strict=True)
        )
        product = scipy.fft.irfft(left * right, self.sketches[0].shape[1], workers=runtime.threads())
        return arc_cosine1, product.astype(f.dtype, copy=False)


def _count_sketch(rows: int, columns: int, rng: np.random.RandomState, dtype: np.dtype[Any]) -> csr_array:
    """Every row has one entry of -1 or 1, at a random column."""
    signs = rng.choice([-1, 1], rows).astype(dtype)
    return csr_array((signs, rng.randint(columns, size=rows), np.arange(rows + 1)), shape=(rows, columns))
