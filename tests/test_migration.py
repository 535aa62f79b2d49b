"""What users of neural-tangents write, and networks built from names, lists, sums and replacements."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk import Activation, Dense, Sequential, mlp, resmlp
from fastntk.activations.registry import REGISTRY
from fastntk.layers.migration import refuse_keywords

X = np.random.default_rng(0).normal(size=(5, 3))
NET = mlp(1)
DENSE: Any = Dense
MLP: Any = mlp
RESMLP: Any = resmlp
DROPOUT: Any = fastntk.Dropout
LAYER_NORM: Any = fastntk.LayerNorm
CONV: Any = fastntk.Conv
AVG_POOL: Any = fastntk.AvgPool
FLATTEN: Any = fastntk.Flatten
RESHAPE: Any = fastntk.Reshape
ANY_NET: Any = NET


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: DENSE(512), ValueError, r"no width.* write Dense\(\), or Dense\(512.0\) if"),
        (lambda: DENSE(10), ValueError, r"write Dense\(\), or Dense\(10.0\)"),
        (lambda: DENSE(np.int64(64), 0.1), ValueError, r"write Dense\(sigma_w=0.1\), or Dense\(64.0\)"),
        (lambda: DENSE(512, 1.5, 0.05), TypeError, r"write Dense\(sigma_w=1.5, sigma_b=0.05\)\.$"),
        (lambda: DENSE(512, W_std=1.5, b_std=0.05), TypeError, r"write Dense\(sigma_w=1.5, sigma_b=0.05\)\.$"),
        (lambda: DENSE(W_std=1.5), TypeError, r"write Dense\(sigma_w=1.5\)\.$"),
        (lambda: DENSE(1, b_std=0.5), TypeError, r"write Dense\(sigma_b=0.5\)\.$"),
        (lambda: DENSE(units=64), TypeError, r"needs no width.*write Dense\(\)\.$"),
        (
            lambda: DENSE(64, 1.5, parametrization="standard"),
            ValueError,
            r"write Dense\(sigma_w=1.5, .*, width=64\), or",
        ),
        (lambda: DENSE(parameterization="standard"), TypeError, "Did you mean 'parametrization'"),
        (
            lambda: DROPOUT(rate=0.9),
            TypeError,
            "write p, the probability of dropping .*, which is .* 1 - rate of neural",
        ),
        (lambda: DROPOUT(), TypeError, "missing 1 required positional argument: 'p'"),
        (lambda: LAYER_NORM(axis=-1), TypeError, "LayerNorm has no argument 'axis'. Did you mean 'axes'"),
        (lambda: LAYER_NORM(epsilon=1e-3), TypeError, "Did you mean 'eps'"),
        (
            lambda: resmlp(2, "relu", 512),
            ValueError,
            r"resmlp has no widths.* write resmlp\(2, 'relu'\), or give sigma_w",
        ),
        (lambda: RESMLP(num_layers=2), TypeError, "resmlp has no argument 'num_layers'. Did you mean 'depth'"),
        (lambda: fastntk.FanInSum, AttributeError, r"Write fastntk\.Sum\(branch, branch\), or fastntk\.Residual"),
        (lambda: fastntk.FanInProd, AttributeError, r"Write fastntk\.Product\("),
        (lambda: fastntk.FanInConcat, AttributeError, r"Write fastntk\.Concat\("),
        (lambda: fastntk.FanOut, AttributeError, r"Write fastntk\.Sum, .*, whose arguments are the branches\.$"),
        (lambda: fastntk.parallel, AttributeError, r"Write fastntk\.Sum, .*, whose arguments are the branches\.$"),
        (lambda: fastntk.repeat, AttributeError, r"Write fastntk\.Sequential\(\*\[layer\] \* n\)\.$"),
        (lambda: fastntk.ElementwiseNumerical, AttributeError, r"Write fastntk\.Activation\(function\)\.$"),
        (
            lambda: CONV(64, 3),
            ValueError,
            r"^fastntk's Conv needs no numbers of channels: .* For Conv\(64, 3\) write Conv\(kernel_size=3\);",
        ),
        (lambda: CONV(64, (3, 3), (2, 2), "SAME"), ValueError, r"Conv\(kernel_size=\(3, 3\), .*padding='same'\);"),
        (lambda: CONV(3, 64, 3, padding=1), ValueError, r"write Conv\(kernel_size=3, padding=1\);"),
        (lambda: CONV(64, kernel_size=5), ValueError, r"write Conv\(kernel_size=5\);"),
        (lambda: CONV(filters=32, kernel_size=3, strides=2), TypeError, r"write Conv\(kernel_size=3, stride=2\);"),
        (
            lambda: CONV(out_chan=8, filter_shape=(3, 3), padding="VALID", W_std=1.5),
            TypeError,
            r"write Conv\(kernel_size=\(3, 3\), padding='valid', sigma_w=1.5\);",
        ),
        (lambda: CONV(3, kernel=3), TypeError, "Conv has no argument 'kernel'. Did you mean 'kernel_size'"),
        (lambda: CONV(3, strides=2), TypeError, "Conv has no argument 'strides'. Did you mean 'stride'"),
        (lambda: CONV(3, dilation_rate=2), TypeError, "Did you mean 'dilation'"),
        (lambda: CONV(3, use_bias=True), TypeError, "Did you mean 'sigma_b'"),
        (lambda: CONV(3, activation="relu"), TypeError, r"layer of its own, Sequential\(Conv\(...\), 'relu', ...\)"),
        (lambda: DENSE(activation="relu"), TypeError, r"layer of its own, Sequential\(Dense\(...\), 'relu', ...\)"),
        (lambda: CONV(3, padding="SAME"), ValueError, "^padding is written 'same' here, got 'SAME'"),
        (lambda: AVG_POOL(2, 2, "VALID"), ValueError, "^padding is written 'valid' here, got 'VALID'"),
        (lambda: AVG_POOL(pool_size=2), TypeError, "AvgPool has no argument 'pool_size'. Did you mean 'size'"),
        (lambda: AVG_POOL(window_shape=(2, 2)), TypeError, "Did you mean 'size'"),
        (lambda: AVG_POOL(kernel_size=2), TypeError, "Did you mean 'size'"),
        (lambda: fastntk.SumPool(2, strides=2), TypeError, "Did you mean 'stride'"),  # type: ignore[call-arg]
        (lambda: FLATTEN(start_dim=1), TypeError, r"^Flatten has no arguments: .* Write Flatten\(\)\.$"),
        (lambda: fastntk.GlobalAvgPool(keepdims=True), TypeError, r"Write GlobalAvgPool\(\)\.$"),  # type: ignore[call-arg]
        (lambda: RESHAPE((28, 28, 1)), TypeError, r"write Reshape\(28, 28, 1\)\.$"),
        (lambda: fastntk.Conv2D, AttributeError, r"Write fastntk\.Conv\(kernel_size, stride, padding\)\.$"),
        (lambda: fastntk.GeneralConv, AttributeError, r"Write fastntk\.Conv\(.* channels last\.$"),
        (lambda: fastntk.MaxPool2d, AttributeError, r"Write fastntk\.AvgPool\(.* maximum .* no kernel is known\.$"),
        (lambda: fastntk.GlobalAveragePooling2D, AttributeError, r"Write fastntk\.GlobalAvgPool\(\)\.$"),
        (lambda: fastntk.network("MaxPooling2D(2)"), ValueError, r"no layer MaxPooling2D\. Write fastntk\.AvgPool"),
        (lambda: fastntk.DotGeneral, AttributeError, r"Write X @ A for a fixed matrix at the input\.$"),
        (
            lambda: Sequential(fastntk.Conv(3), "relu", "flatten"),
            ValueError,
            r"^'flatten' is a layer, and no name of an activation: write fastntk\.Flatten\(\)\.$",
        ),
        (lambda: Sequential("Conv2D"), ValueError, r"^'Conv2D' is a layer, .* write fastntk\.Conv\(kernel_size"),
        (lambda: Sequential("pool"), ValueError, r"write fastntk\.AvgPool\(size, stride\) or fastntk\.GlobalAvgPool"),
        (lambda: Sequential("max_pool"), ValueError, r"write fastntk\.AvgPool\(.* maximum .* no kernel is known\.$"),
        (lambda: Sequential("dense"), ValueError, r"write fastntk\.Dense\(\)\.$"),
        (lambda: fastntk.Residual("layer_norm", "relu"), ValueError, r"write fastntk\.LayerNorm\(\)\.$"),
        (lambda: NET + "dropout", ValueError, r"write fastntk\.Dropout\(p\)\.$"),
        (lambda: fastntk.network("Sequential('flatten')"), ValueError, r"write fastntk\.Flatten\(\)\.$"),
        (lambda: DENSE(1.0, 0.1, False), TypeError, "trainable by name"),
        (lambda: DENSE(sigma_W=1.5), TypeError, "no argument 'sigma_W'. Did you mean 'sigma_w'"),
        (lambda: mlp(2, "relu", W_std=1.5), TypeError, "no argument 'W_std'. Did you mean 'sigma_w'"),
        (lambda: mlp(2, "relu", sigma_W=1.5), TypeError, "no argument 'sigma_W'. Did you mean 'sigma_w'"),
        (lambda: mlp(2, "relu", 512), ValueError, r"no widths.* write mlp\(2, 'relu'\), or give sigma_w by name"),
        (
            lambda: mlp(2, "relu", [512, 512, 1]),
            ValueError,
            r"\[512, 512, 1\]\) write mlp\(2, 'relu'\)",
        ),
        (lambda: MLP(1, "relu", np.array([64, 10]), 0.1), ValueError, r"write mlp\(1, 'relu'\)"),
        (lambda: ANY_NET.replace(W_std=2), TypeError, "no argument 'W_std'. Did you mean 'sigma_w'"),
        (lambda: ANY_NET.replace(width=2), TypeError, "infinitely wide"),
        (lambda: mlp(num_layers=2), TypeError, "Did you mean 'depth'"),
        (lambda: mlp(2, width=512), TypeError, "infinitely wide"),
        (lambda: ANY_NET.ntk(X, X, "ntk"), TypeError, "^a kernel is chosen by the method"),
        (lambda: ANY_NET.ntk(X, "ntk"), TypeError, "^a kernel is chosen by the method"),
        (lambda: ANY_NET.kernels(X, get="ntk"), TypeError, "^a kernel is chosen by the method"),
        (lambda: ANY_NET(X, X, "ntk"), TypeError, "^a network is not called"),
        (lambda: fastntk.Relu, AttributeError, r"Write fastntk.Activation\('relu'\)"),
        (lambda: fastntk.ABRelu, AttributeError, r"Write fastntk.Activation\('abrelu'\)"),
        (lambda: fastntk.Sigmoid_like, AttributeError, r"Write fastntk.Activation\('sigmoid_like'\)"),
        (lambda: fastntk.Erf, AttributeError, r"Write fastntk.Activation\('erf'\)"),
        (lambda: fastntk.serial, AttributeError, "Write fastntk.Sequential"),
        (lambda: fastntk.stax, AttributeError, "Write fastntk.Sequential"),
        (lambda: fastntk.no_such_thing, AttributeError, "no attribute 'no_such_thing'.$"),
    ],
)
def test_habits_get_their_sentence(call: Any, error: type[Exception], sentence: str) -> None:
    """It tells what to write."""
    with pytest.raises(error, match=sentence):
        call()


def test_large_sigmas_remain_possible() -> None:
    """As floats, by name, and below ten."""
    assert Dense(512.0).sigma_w == Dense(sigma_w=512).sigma_w == 512.0
    assert mlp(0, "relu", 512.0) == mlp(0, "relu", sigma_w=512) == NET[:1].replace(sigma_w=512)
    assert mlp(1, "relu", [9, 512.0]) == mlp(1, "relu", sigma_w=[9, 512])
    assert Dense(9).sigma_w == 9.0
    assert dataclasses.replace(Dense(0.5), sigma_w=512, trainable=False) == Dense(512.0, trainable=False)


def test_estimators_keep_large_sigmas() -> None:
    """Which they hold by name."""
    sklearn = pytest.importorskip("fastntk.sklearn")
    X = np.eye(3)
    values: list[Any] = [512, [10, 20], np.array([10, 20])]
    for value in values:
        wanted = mlp(1, "relu", sigma_w=value)
        assert sklearn.NTKRegressor(sigma_w=value).fit(X, X[0]).network_ == wanted
    np.testing.assert_array_equal(sklearn.NTKKernel(sigma_w=512)(X), mlp(1, "relu", sigma_w=512).ntk(X))


def test_names_of_numpys() -> None:
    """Are shown as Python's, and read back."""
    net = mlp(2, np.array(["erf", "relu"]))  # type: ignore[arg-type]
    assert repr(net) == repr(mlp(2, ["erf", "relu"]))
    assert repr(Activation(np.str_("relu"))) == "Activation('relu')"


def test_no_parameter_is_taken_for_a_habit() -> None:
    """Whatever `Activation` takes can be given to `mlp` and `resmlp`."""
    own = [name for name in inspect.signature(Activation).parameters if name != "activation"]
    for name in {*own, *(name for family in REGISTRY.values() for name in family.parameters)}:
        refuse_keywords("mlp", [name], ("depth", "activation", "sigma_w", "sigma_b", "frozen"))
        assert name not in [*inspect.signature(resmlp).parameters][:-1]
        refuse_keywords("resmlp", [name], tuple(inspect.signature(resmlp).parameters))


def test_names_and_functions_are_layers() -> None:
    """They stand for their activation, in `Sequential`, in sums and in `mlp`."""
    net = Sequential(Dense(1.5, 0.1), "relu", Dense(), np.tanh, Dense())
    assert net.layers == (Dense(1.5, 0.1), Activation("relu"), Dense(), Activation(np.tanh), Dense())
    assert net[:2] + Dense() + np.tanh + Dense() == net
    assert mlp(2, ["relu", np.tanh], [1.5, 1.0, 1.0], (0.1, 0, 0)) == net
    assert np.array_equal(net[:3].ntk(X), mlp(1, "relu", [1.5, 1.0], [0.1, 0.0]).ntk(X))


def test_sum_is_composition() -> None:
    """The kernel of a + b is that of b on what a gives: for a linear a, of b with sigmas multiplied."""
    net = mlp(1, "erf", 1.3, 0.2)
    assert (NET + net).layers == NET.layers + net.layers
    assert len(NET + Sequential()) == len(NET)
    left = (Sequential(Dense(0.7)) + Dense(1.3, 0.2) + "erf" + Dense()).nngp(X)
    np.testing.assert_allclose(left, Sequential(Dense(0.7 * 1.3, 0.2), "erf", Dense()).nngp(X), rtol=1e-13)
    with pytest.raises(TypeError, match=r"^a layer is .*got <ndarray \(5, 3\) float64>"):
        NET + X  # type: ignore[operator]


@pytest.mark.parametrize(
    "layer",
    [
        fastntk.Conv(11, 4),
        fastntk.Conv(16, 16, "valid"),
        fastntk.Conv(64),
        fastntk.Conv(kernel_size=64, stride=2),
        fastntk.Conv(3, 2, 1),
        fastntk.Conv((1, 32)),
    ],
)
def test_convolutions_that_are_none_of_these_habits(layer: fastntk.Conv) -> None:
    """Large sizes too; and what their repr writes."""
    assert fastntk.network(repr(layer))[0] == layer


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_per_layer(kind: Any) -> None:
    """Sequences of `mlp` and `replace` are one entry for each layer; an error has the lengths."""
    net = mlp(2, "erf", kind([1.0, 2.0, 3.0]), kind([0.1, 0.2, 0.3]), frozen=1)
    assert [layer.sigma_w for layer in net.layers[::2] if isinstance(layer, Dense)] == [1.0, 2.0, 3.0]
    assert [layer.sigma_b for layer in net.layers[::2] if isinstance(layer, Dense)] == [0.1, 0.2, 0.3]
    other = net.replace(sigma_w=kind([3.0, 2.0, 1.0]), sigma_b=0.5, trainable=kind([True, False, True]))
    assert other.layers[::2] == (Dense(3.0, 0.5), Dense(2.0, 0.5, trainable=False), Dense(1.0, 0.5))
    assert other.layers[1::2] == net.layers[1::2]
    assert net.replace() == net
    with pytest.raises(ValueError, match=r"^sigma_w must be one for all or one for each of the 3 Dense layers, got 2"):
        mlp(2, "erf", kind([1.0, 2.0]))
    with pytest.raises(
        ValueError, match=r"^sigma_b must be one for all or one for each of the 3 layers with weights, got 4"
    ):
        net.replace(sigma_b=kind([1.0] * 4))
    with pytest.raises(ValueError, match=r"^activation must be .* each of the 2 hidden layers, got 3"):
        mlp(2, kind(["erf", "relu", "erf"]))
    with pytest.raises(ValueError, match=r"^sigma_w\[1\] is a standard deviation and must be >= 0, got -?"):
        net.replace(sigma_w=kind([1.0, -1.0, 1.0]))


def test_parameters_through_mlp() -> None:
    """They are the activation's."""
    assert mlp(2, "leaky_relu", alpha=0.1) == mlp(2, Activation("leaky_relu", alpha=0.1))
    assert mlp(1, np.abs, kinks=[0.0], tolerance=1e-8)[1] == Activation(np.abs, kinks=[0.0], tolerance=1e-8)
    with pytest.raises(TypeError, match=r"^activation 'relu': no parameter 'alpha'"):
        mlp(2, "relu", alpha=0.1)
    for activation in (Activation("leaky_relu"), ["leaky_relu", "erf"]):
        with pytest.raises(TypeError, match=r"^mlp takes alpha for one activation"):
            mlp(2, activation, alpha=0.1)
    with pytest.raises(TypeError, match=r"^activation must be the name of"):
        mlp(2, NET)
    with pytest.raises(ValueError, match=r"^depth must be at most 1000000"):
        mlp(10**9)


def test_dense_is_a_value() -> None:
    """Immutable, hashable, picklable, with the signature it is documented with."""
    dense = Dense(1.5, 0.1, trainable=False, parametrization="standard", width=8)
    for again in (pickle.loads(pickle.dumps(dense)), copy.copy(dense), copy.deepcopy(dense)):
        assert again == dense
        assert hash(again) == hash(dense)
    with pytest.raises(dataclasses.FrozenInstanceError):
        dense.sigma_w = 2.0  # type: ignore[misc]
    assert list(inspect.signature(Dense).parameters) == [
        "sigma_w", "sigma_b", "trainable", "parametrization", "width", "bias",
    ]  # fmt: skip


SEQUENCES = fastntk.Sequences([np.ones((2, 2)), np.ones((3, 2))])
ONE_GRAPH = fastntk.Graphs([np.eye(3)], [np.ones((3, 3))])
NET = fastntk.mlp(2)
IMAGES = np.ones((2, 4, 4, 1))
NOTHING: Any = None

#: What newcomers write, and what they are told.
HABITS: dict[str, tuple[Any, str]] = {
    "position": (lambda: fastntk.transformer(1, position="sum"), r"write attention=fastntk\.SelfAttention\(position="),
    "heads": (lambda: fastntk.transformer(2, n_heads=8), r"no 'n_heads': the network is infinitely wide"),
    "hidden_channels": (lambda: fastntk.gcn(2, hidden_channels=8), "the network is infinitely wide"),
    "units": (lambda: fastntk.gntk(2, units=8), "the network is infinitely wide"),  # type: ignore[call-arg]
    "pool": (lambda: fastntk.gcn(2, pool="mean"), r"Did you mean 'readout'\?"),
    "eps": (lambda: fastntk.transformer(1, eps=1e-5), r"Nor is it an argument of transformer\."),
    "RNN": (lambda: fastntk.RNN, r"Write fastntk\.rnn\(depth\)"),
    "LSTM": (lambda: fastntk.LSTM, "of gates no kernel is here"),
    "GCN": (lambda: fastntk.GCN, r"Write fastntk\.gcn\(depth\)"),
    "Attention": (lambda: fastntk.Attention, r"Write fastntk\.SelfAttention"),
    "BatchNorm": (lambda: fastntk.BatchNorm, "may not depend on others"),
    "GaussianProcess": (lambda: fastntk.GaussianProcess, r"fastntk\.inference\.GaussianProcess"),
    "ntk": (lambda: fastntk.ntk, r"net\.ntk\(X, Y\)"),
    "mask": (lambda: fastntk.Sequences(np.ones((2, 3, 2)), np.ones((2, 3), bool)), r"they are mask\.sum\(axis=1\)"),
    "edges": (lambda: fastntk.Graphs([np.eye(4)], [[(0, 1), (1, 2), (2, 3)]]), r"scipy\.sparse\.coo_array"),
    "pairs of rows": (lambda: NET.ntk(np.ones(3), np.ones(3)), r"pass fastntk\.sklearn\.NTKKernel\(network=net\)"),
    "arrays": (lambda: fastntk.rnn(1).ntk(np.ones((2, 3, 2)), SEQUENCES), r"alike: pass fastntk\.Sequences\(\.\.\.\)"),
    "t=None": (lambda: fastntk.inference.GradientFlow(np.eye(2), [0, 1]).mean(NOTHING), r"is t=numpy\.inf"),
    "images": (
        lambda: fastntk.inference.derivative_posterior(
            fastntk.cnn(1), np.ones((2, 4, 4, 1)), [0, 1], None, np.ones((1, 16))
        ),
        "computed of kernels of vectors",
    ),
    "sigma_u_bounds": (
        lambda: fastntk.inference.fit_marginal_likelihood(NET, np.eye(2), [0, 1], sigma_u_bounds=(1, 2)),  # type: ignore[call-arg]
        "sigma_w_bounds are of those of all weights",
    ),
    "numbers of heads": (lambda: fastntk.SelfAttention(8), "needs no numbers of units or heads"),
    "containers": (lambda: fastntk.Sequences(list(SEQUENCES)), r"put these together by a\.followed_by\(b\)"),
    "nodes": (
        lambda: fastntk.inference.GaussianProcess(fastntk.gcn(1), ONE_GRAPH, [0, 1, 2]),
        r"gp_posterior\(K\[known\]\[:, known\], y\[known\], K\[:, known\]\)",
    ),
}


@pytest.mark.parametrize("habit", HABITS)
def test_what_newcomers_write(habit: str) -> None:
    """Is answered with what to write."""
    call, sentence = HABITS[habit]
    with pytest.raises((AttributeError, TypeError, ValueError), match=sentence):
        call()


def test_graphs_of_networkx() -> None:
    """Whatever has nodes and edges is no matrix."""

    class Graph:
        nodes, edges = range(2), ()

    with pytest.raises(TypeError, match=r"networkx\.to_scipy_sparse_array\(g\)"):
        fastntk.Graphs([np.eye(2)], [Graph()])
