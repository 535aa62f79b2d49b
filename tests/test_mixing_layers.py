"""SelfAttention and Aggregate as layers: parameters, text, the engine, and sentences."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from tests.ragged import AGGREGATION, ATTENTION, close, graphs, sequences

import fastntk
from fastntk import Aggregate, Dense, GlobalSumPool, SelfAttention, Sequential, Sum, network, reference
from fastntk.layers import Layer
from fastntk.layers.base import VARIOUS, Signal
from fastntk.samples import Ragged


@pytest.mark.parametrize("layer", [*ATTENTION, *AGGREGATION], ids=str)
def test_engine(layer: Layer, rng: np.random.Generator) -> None:
    """The same as the reference, with every parameter, twice in a network."""
    samples: Ragged = graphs(rng) if isinstance(layer, Aggregate) else sequences(rng)
    net = Sequential(Dense(1.2, 0.1), layer, Dense(0.7, 0.2), "relu", layer, GlobalSumPool())
    close(net.kernels(samples), reference.kernels(net, samples), 1e-12)


@pytest.mark.parametrize("layer", [*ATTENTION, *AGGREGATION], ids=str)
def test_text_and_copies(layer: Layer) -> None:
    """Its repr is read, a pickle is equal, and it cannot be changed."""
    assert network(repr(layer))[0] == layer
    assert pickle.loads(pickle.dumps(layer)) == layer
    assert hash(network(repr(layer))[0]) == hash(layer)
    with pytest.raises(AttributeError):
        layer.normalize = "sym"  # type: ignore[attr-defined]


def test_texts() -> None:
    """No more than what is not as by default."""
    assert repr(Aggregate()) == "Aggregate()"
    assert repr(Aggregate("mean", False)) == "Aggregate(normalize='mean', self_loops=False)"
    plain = "SelfAttention(sigma_q=1.0, sigma_k=1.0, sigma_v=1.0, sigma_o=1.0, sigma_b=0.0"
    assert repr(SelfAttention()) == f"{plain})"
    assert repr(SelfAttention(position="sum", position_decay=2)) == f"{plain}, position='sum', position_decay=2.0)"
    assert str(SelfAttention(2**0.5)).startswith("SelfAttention(sigma_q=1.414, sigma_k")


def test_hyperparameters() -> None:
    """Those that kernels are differentiated in, wherever the layer is."""
    plain, placed = SelfAttention(2.0), SelfAttention(sigma_b=0.5, position="concat", position_sigma=0.1)
    assert list(plain.hyperparameters) == ["sigma_q", "sigma_k", "sigma_v", "sigma_o", "sigma_b"]
    assert list(placed.hyperparameters)[-1] == "position_sigma"
    assert plain.with_values(sigma_o=3.0) == SelfAttention(2.0, sigma_o=3.0)
    net = Sequential(Sum(plain, Dense()), placed)
    values = [value for _, _, value in net.parameters]
    assert len(values) == 13
    assert net.with_parameters(values) == net
    changed = net.with_parameters([0.5] * 13)[1]
    assert changed == SelfAttention(0.5, 0.5, 0.5, 0.5, 0.5, position="concat", position_sigma=0.5)
    assert Aggregate().hyperparameters == {}


def test_what_comes_out() -> None:
    """Of attention new Gaussian units; of aggregation sums of those that came in."""
    nodes = (VARIOUS,)
    raw = Signal(nodes, 3, "given", "unknowable")
    assert SelfAttention().follow(raw) == Signal(nodes, math.inf, "gaussian", "zero", "fresh", False)
    fresh = Signal(nodes, math.inf, "gaussian", "zero", "fresh")
    assert Aggregate().follow(fresh) == fresh
    behind = Aggregate().follow(fresh._replace(law="given", mean="known"))
    assert (behind.law, behind.mean, behind.since_fork) == ("other", "unknowable", "fresh")
    assert Aggregate().follow(fresh._replace(since_fork="same")).since_fork == "bent"
    assert Aggregate().follow(Signal()).positions is None
    zero = raw._replace(vanishes=True)
    assert SelfAttention().follow(zero).vanishes
    assert SelfAttention(sigma_v=0.0).follow(raw).vanishes
    assert SelfAttention(sigma_q=0.0, mechanism="relu").follow(raw).vanishes
    assert not SelfAttention(sigma_q=0.0).follow(raw).vanishes
    assert not SelfAttention(sigma_b=0.1).follow(zero).vanishes
    assert not SelfAttention(position="sum", position_in_values=True).follow(zero).vanishes
    assert SelfAttention(position="sum").follow(zero).vanishes


def test_what_they_are_to_others() -> None:
    """In branches, too."""
    for layer in (SelfAttention(), Aggregate(), Sum(Sequential(Aggregate(), Dense()), Dense())):
        assert layer.mixes
        assert layer.on_positions
    assert not Sum(Dense(), Dense()).mixes
    assert not fastntk.Conv(3).mixes


def test_nodes_without_edges() -> None:
    """Of degree 0, without loops, they get 0, and their neighbours nothing of infinite size."""
    edges = sparse.csr_array(np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))  # from 0 to 1
    for normalize in (None, "mean"):
        expected = [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
        np.testing.assert_array_equal(Aggregate(normalize, False).matrix(edges).toarray(), expected)
    np.testing.assert_array_equal(Aggregate("sym", False).matrix(edges).toarray(), np.zeros((3, 3)))
    with pytest.raises(
        ValueError, match=r"^Aggregate\(normalize='mean', self_loops=False\) divides by sums of weights"
    ):
        Aggregate("mean", False).matrix(-edges)
    mean = Aggregate("mean").matrix(edges).toarray()
    np.testing.assert_array_equal(mean, [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]])


#: With arguments of any type.
ATTEND: Any = SelfAttention
TAKE: Any = Aggregate


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: ATTEND(-1.0), ValueError, r"sigma_q is a standard deviation and must be >= 0, got -1\.0"),
        (lambda: ATTEND(mechanism="linear"), ValueError, r"mechanism must be 'softmax' or 'identity' or 'relu'"),
        (lambda: ATTEND(scaling="cubic"), ValueError, r"scaling must be 'linear' or 'sqrt', got 'cubic'"),
        (lambda: ATTEND(scaling="sqrt"), ValueError, r"of scaling='sqrt' a kernel is known .* got 'softmax'"),
        (lambda: ATTEND(position="learned"), ValueError, r"position must be None or 'sum' or 'concat'"),
        (lambda: ATTEND(position_sigma=2.0), ValueError, r"position_sigma is for position='sum' or"),
        (lambda: ATTEND(position_decay=1.0), ValueError, r"position_decay is for position='sum' or 'concat'"),
        (lambda: ATTEND(position="sum", position_share=0.2), ValueError, r"position_share is for .*'concat'"),
        (lambda: ATTEND(position="concat", position_share=1.0), ValueError, r"must be between 0 and 1, got 1"),
        (lambda: ATTEND(position="sum", position_decay=0.0), ValueError, r"position_decay must be > 0, got 0"),
        (lambda: ATTEND(position="sum", position_in_values=1), TypeError, r"position_in_values must be True or"),
        (lambda: ATTEND(512, 8), ValueError, r"SelfAttention needs no numbers of units or heads: .*got 512, 8"),
        (lambda: ATTEND(num_heads=8), TypeError, r"SelfAttention has no 'num_heads': the network is infinitely"),
        (lambda: ATTEND(W_key_std=1.0), TypeError, r"SelfAttention has no argument .*Did you mean 'sigma_k'\?"),
        (lambda: ATTEND(val_pos_emb=True), TypeError, r"Did you mean 'position_in_values'\?"),
        (lambda: TAKE("max"), ValueError, r"normalize must be None or 'mean' or 'sym', got 'max'"),
        (lambda: TAKE(self_loops=2), TypeError, r"self_loops must be True or False, got 2"),
        (lambda: TAKE(aggregate_axis=1), TypeError, r"Aggregate needs no axis and no pattern: edges are"),
        (lambda: TAKE(add_self_loops=True), TypeError, r"Did you mean 'self_loops'\?"),
        (lambda: Sequential(Dense(), "attention"), ValueError, r"'attention' is a layer, .*fastntk.SelfAttention"),
        (lambda: fastntk.GCNConv, AttributeError, r"Write fastntk\.Aggregate\('sym'\), fastntk\.Dense\(\)"),
        (lambda: fastntk.GlobalSelfAttention, AttributeError, r"Write fastntk\.SelfAttention\(\.\.\.\)"),
    ],
)  # fmt: skip
def test_what_is_refused(make: Any, error: type[Exception], sentence: str) -> None:
    """In one sentence."""
    with pytest.raises(error, match=sentence) as raised:
        make()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("normalize", ["mean", "sym"])
@pytest.mark.parametrize("scale", [5e307, 1e-300, 1e-310, 3e-320])
def test_faint_weights(normalize: Any, scale: float, rng: np.random.Generator) -> None:
    """Means do not depend on the size of weights, not even where 1 over their sum is out of range."""
    nodes, edges = rng.normal(size=(3, 2)), np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]])
    net = Sequential(Aggregate(normalize, self_loops=False), Dense(), "relu", GlobalSumPool())
    X, faint = (fastntk.Graphs([nodes], [factor * edges]) for factor in (1.0, scale))
    exact = 1e-13 if scale > 1e-308 else 1e-2  # of what weights are rounded to
    np.testing.assert_allclose(net.ntk(faint), net.ntk(X), rtol=exact)
    np.testing.assert_allclose(reference.ntk(net, faint), net.ntk(faint), rtol=1e-12)


def test_normalised_directions() -> None:
    """Of a node that no edge leads to nothing is passed on by "sym", whose root of a sum is in no denominator."""
    one_way = fastntk.Graphs([np.ones((2, 1))], [[[0, 3], [0, 0]]])
    for normalize, wanted in (("mean", 1.0), ("sym", 0.0)):
        net = Sequential(Aggregate(normalize, self_loops=False), GlobalSumPool())  # type: ignore[arg-type]
        assert net.nngp(one_way)[0, 0] == reference.nngp(net, one_way)[0, 0] == wanted
