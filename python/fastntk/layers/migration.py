"""What users of other libraries write out of habit, and the sentences that tell them what to write here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from .._checks.shown import shown
from ..activations.registry import REGISTRY

P = ParamSpec("P")
R = TypeVar("R")
Check = Callable[[tuple[Any, ...], dict[str, Any]], None]

_BRANCHES = "fastntk.Sum, fastntk.Product or fastntk.Concat, whose arguments are the branches"

#: Attributes of `neural_tangents` and its `stax`; nonlinearities are found by their names.
_NO_GATES = ": of gates no kernel is here"
_NO_BATCH = ": what one sample gives may not depend on others"
_ATTRIBUTES = {
    "stax": "fastntk.Sequential(fastntk.Dense(sigma_w, sigma_b), 'relu', fastntk.Dense()) for stax.serial(...)",
    "serial": "fastntk.Sequential",
    "repeat": "fastntk.Sequential(*[layer] * n)",
    "parallel": _BRANCHES,
    "FanOut": _BRANCHES,
    "FanInSum": "fastntk.Sum(branch, branch), or fastntk.Residual(layers) with a shortcut",
    "FanInProd": "fastntk.Product(branch, branch)",
    "FanInConcat": "fastntk.Concat(branch, branch)",
    "Elementwise": "fastntk.Activation(function)",
    "ElementwiseNumerical": "fastntk.Activation(function)",
    "GlobalSelfAttention": "fastntk.SelfAttention(...)",
    "MultiheadAttention": "fastntk.SelfAttention(...)",
    "MultiHeadAttention": "fastntk.SelfAttention(...)",
    "TransformerEncoder": "fastntk.networks.transformer(blocks)",
    "GCNConv": "fastntk.Aggregate('sym'), fastntk.Dense()",
    "GINConv": "fastntk.Aggregate(), fastntk.Dense()",
    "SAGEConv": "fastntk.Sum(fastntk.Dense(), fastntk.Sequential(fastntk.Aggregate('mean', False), fastntk.Dense()))",
    "global_add_pool": "fastntk.GlobalSumPool()",
    "global_mean_pool": "fastntk.GlobalAvgPool()",
    "DotGeneral": "X @ A for a fixed matrix at the input",
    "Linear": "fastntk.Dense",
    "Attention": "fastntk.SelfAttention(...)",
    "Transformer": "fastntk.transformer(blocks)",
    "RNN": "fastntk.rnn(depth), or fastntk.Recurrent(activation)",
    "LSTM": f"fastntk.rnn(depth){_NO_GATES}",
    "GRU": f"fastntk.rnn(depth){_NO_GATES}",
    "GCN": "fastntk.gcn(depth)",
    "GNTK": "fastntk.gntk(blocks)",
    "GraphConv": "fastntk.Aggregate(), fastntk.Dense()",
    "GATConv": "fastntk.SelfAttention(...) between all nodes, or fastntk.Aggregate() along edges",
    "Graph": "fastntk.Graphs(features, adjacency)",
    "Sequence": "fastntk.Sequences(values)",
    "BatchNorm": f"fastntk.LayerNorm(){_NO_BATCH}",
    "BatchNorm1d": f"fastntk.LayerNorm(){_NO_BATCH}",
    "BatchNorm2d": f"fastntk.LayerNorm(){_NO_BATCH}",
    "GaussianProcess": "fastntk.inference.GaussianProcess(net, X, y)",
    "NTKRegressor": "fastntk.sklearn.NTKRegressor",
    "NTKClassifier": "fastntk.sklearn.NTKClassifier",
    "NNGPRegressor": "fastntk.sklearn.NNGPRegressor",
    "NNGPClassifier": "fastntk.sklearn.NNGPClassifier",
    "ntk": "net.ntk(X, Y) of a network, such as net = fastntk.mlp(depth)",
    "nngp": "net.nngp(X, Y) of a network, such as net = fastntk.mlp(depth)",
    "predict": "fastntk.inference",
    "monte_carlo_kernel_fn": "fastntk.finite.monte_carlo",
    "empirical_ntk_fn": "fastntk.finite.FiniteNetwork(net, width).empirical_ntk",
    "batch": "net.ntk(X, out=...) to a memory map, or fastntk.store.compute",
}

_AVERAGE = "fastntk.AvgPool(size, stride)"
_GLOBAL = "fastntk.GlobalAvgPool()"
_NO_MAXIMUM = ": of a maximum over positions no kernel is known"

#: Layers over positions as others call them, in small letters and without "1d", "2d" or "3d" at the end.
_ON_POSITIONS = {
    "conv": "fastntk.Conv(kernel_size, stride, padding)",
    "generalconv": "fastntk.Conv(kernel_size, stride, padding), for samples with their channels last",
    "averagepooling": _AVERAGE,
    "avgpool": _AVERAGE,
    "adaptiveavgpool": _GLOBAL,
    "globalaveragepooling": _GLOBAL,
    "globalavgpool": _GLOBAL,
    "maxpool": _AVERAGE + _NO_MAXIMUM,
    "maxpooling": _AVERAGE + _NO_MAXIMUM,
    "globalmaxpool": _GLOBAL + _NO_MAXIMUM,
    "globalmaxpooling": _GLOBAL + _NO_MAXIMUM,
    "adaptivemaxpool": _GLOBAL + _NO_MAXIMUM,
    "unflatten": "fastntk.Reshape(height, width, channels) as the first layer",
}

#: Layers of fastntk's own, in small letters, where something else is expected; a pool may be either.
_LAYERS = {
    "dense": "fastntk.Dense()",
    "linear": 'fastntk.Dense(), or the activation "identity"',
    "flatten": "fastntk.Flatten()",
    "pool": f"{_AVERAGE} or {_GLOBAL}",
    "pooling": f"{_AVERAGE} or {_GLOBAL}",
    "sumpool": "fastntk.SumPool(size, stride)",
    "globalsumpool": "fastntk.GlobalSumPool()",
    "gap": _GLOBAL,
    "layernorm": "fastntk.LayerNorm()",
    "dropout": "fastntk.Dropout(p)",
    "residual": "fastntk.Residual(layers)",
    "attention": "fastntk.SelfAttention()",
    "selfattention": "fastntk.SelfAttention()",
    "aggregate": "fastntk.Aggregate()",
}

#: Keyword arguments that have another name here.
_KEYWORDS = {
    "W_std": "sigma_w", "b_std": "sigma_b", "n_layers": "depth", "num_layers": "depth", "axis": "axes",
    "epsilon": "eps", "parameterization": "parametrization", "use_bias": "sigma_b",
    "filter_shape": "kernel_size", "strides": "stride", "dilation_rate": "dilation", "kernel_dilation": "dilation",
    "window_shape": "size", "pool_size": "size", "pool": "readout", "kernel_size": "size",
    "nonlinearity": "activation", "return_sequences": "readout", "go_backwards": "reverse",
    "W_query_std": "sigma_q", "W_key_std": "sigma_k", "W_value_std": "sigma_v", "W_out_std": "sigma_o",
    "attention_mechanism": "mechanism", "linear_scaling": "scaling", "pos_emb_type": "position",
    "W_pos_emb_std": "position_sigma", "n_chan_pos_emb": "position_share", "pos_emb_decay_fn": "position_decay",
    "val_pos_emb": "position_in_values", "add_self_loops": "self_loops",
}  # fmt: skip
_CHANNELS = ("filters", "features", "out_chan", "out_channels", "in_channels")
_HEADS = ("n_heads", "num_heads", "n_chan_key", "n_chan_val", "n_chan_out", "embed_dim", "d_model", "key_dim")
_WIDTHS = ("out_dim", "width", "units", "hidden_size", "hidden_channels", "heads", *_CHANNELS, *_HEADS)

_WEIGHTED = ("sigma_w", "sigma_b", "trainable", "parametrization", "width", "bias")
_CONV = ("kernel_size", "stride", "padding", "dilation", *_WEIGHTED)
_ATTENTION = (
    "sigma_q", "sigma_k", "sigma_v", "sigma_o", "sigma_b", "mechanism", "scaling",
    "position", "position_sigma", "position_share", "position_decay", "position_in_values",
    "width", "heads",
)  # fmt: skip

#: An integer from here on by position, where the size of a convolution is meant, is a number of channels.
_LEAST_CHANNELS = 16

#: An integer between these by position, where a sigma_w is meant, is a number of units or of classes.
_WIDTH_RANGE = 10, 10**9


def refuse(check: Check) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function: `check` sees the arguments first, and may have a better sentence than Python's own."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            check(args, kwargs)
            return function(*args, **kwargs)

        return checked

    return decorate


def instead_of(name: str) -> str:
    """Sentence about an attribute that `fastntk` does not have, or nothing."""
    plain = name.replace("_", "").lower()
    on_positions = _ON_POSITIONS.get(_without_axes(name))
    activation = next((known for known in REGISTRY if known.replace("_", "") == plain), None)
    instead = _ATTRIBUTES.get(name, f"fastntk.Activation({activation!r})" if activation else on_positions)
    return "" if instead is None else f" Write {instead}."


def refuse_word(name: str) -> None:
    """Raise for the name of a layer where a string is that of an activation."""
    plain = _without_axes(name)
    instead = None if name in REGISTRY else _LAYERS.get(plain, _ON_POSITIONS.get(plain))
    if instead:
        raise ValueError(f"{name!r} is a layer, and no name of an activation: write {instead}.")


def _without_axes(name: str) -> str:
    """A name in small letters, without "1d", "2d" or "3d" at its end."""
    return re.sub("[123]d$", "", name.replace("_", "").lower())


def refuse_keywords(what: str, given: Iterable[str], known: tuple[str, ...]) -> None:
    """Raise for keyword arguments that are habits, or misspelt ones of `known`."""
    for key in given:
        if key in known:
            continue
        if key in _WIDTHS:
            raise TypeError(f"{what} has no {key!r}: the network is infinitely wide. fastntk.finite draws finite ones.")
        if key == "activation":
            raise TypeError(f"{what} has no {key!r}: that is a layer of its own, Sequential({what}(...), 'relu', ...).")
        if what == "transformer" and key in _ATTENTION:
            raise TypeError(f"transformer has no argument {key!r}: write attention=fastntk.SelfAttention({key}=...).")
        usual = _KEYWORDS.get(key)
        near = [usual] if usual in known else get_close_matches(key, known, n=1, cutoff=0.7)
        if near:
            raise TypeError(f"{what} has no argument {key!r}. Did you mean {near[0]!r}?")


def check_dense(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Arguments of Dense, the first of which is itself: no width before all others, where other libraries have it."""
    given, first = args[1:], args[1] if len(args) > 1 else None
    whole = isinstance(first, (int, np.integer)) and not isinstance(first, bool)
    wide = _is_width(first)
    habits = kwargs.keys() & {"W_std", "b_std", "out_dim", "units"}
    standard = "standard" in (kwargs.get("parametrization"), kwargs.get("parameterization"))
    if not (wide or habits or len(given) > 2):
        refuse_keywords("Dense", kwargs, _WEIGHTED)
        return
    call = ", ".join([*map(shown, given), *(f"{key}={shown(value)}" for key, value in kwargs.items())])
    if len(given) > 2 and isinstance(given[2], (bool, np.bool_)):
        raise TypeError(f"Dense takes sigma_w and sigma_b by position and trainable by name, got Dense({call}).")
    names = ("width", "W_std", "b_std") if whole else ("W_std", "b_std", "width")
    meant = {_KEYWORDS.get(key, key): value for key, value in (dict(zip(names, given, strict=False)) | kwargs).items()}
    wanted = [key for key in _WEIGHTED if key in meant and (key != "width" or standard)]
    instead = ", ".join(f"{key}={shown(meant[key])}" for key in wanted)
    sentence = f"fastntk's Dense needs no width: Dense(sigma_w, sigma_b). For Dense({call}) write Dense({instead})"
    if habits or len(given) > 2:
        raise TypeError(f"{sentence}.")
    raise ValueError(f"{sentence}, or Dense({first}.0) if this is the standard deviation.")


def check_conv(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Arguments of Conv, the first of which is itself: no numbers of channels before all others."""
    given, named = args[1:], "kernel_size" in kwargs
    first, second = (value if isinstance(value, (int, np.integer)) else 0 for value in (*given, 0, 0)[:2])
    patches = first == second
    filters = first >= _LEAST_CHANNELS and len(given) + named > 1 and not patches
    both = second >= _LEAST_CHANNELS and len(given) + named > 2 and not patches  # of what comes in, and goes out
    habits = kwargs.keys() & {*_CHANNELS}
    if not (both or filters or habits):
        check_padding(given[2] if len(given) > 2 else kwargs.get("padding"))
        refuse_keywords("Conv", kwargs, _CONV)
        return
    call = ", ".join([*map(shown, given), *(f"{key}={shown(value)}" for key, value in kwargs.items())])
    channels = 2 if both else 1 if filters else len(given) and len(habits)
    names = ("kernel_size", "stride", "padding", "sigma_w", "sigma_b")
    found = dict(zip(names, given[channels:], strict=False)) | kwargs
    meant = {key if key in _CONV else _KEYWORDS.get(key, key): value for key, value in found.items()}
    wanted = [key for key in _CONV if key in meant and key != "width"]
    instead = ", ".join(f"{key}={shown(_small(meant[key]))}" for key in wanted)
    raise (TypeError if habits else ValueError)(
        f"fastntk's Conv needs no numbers of channels: Conv(kernel_size, stride, padding). For Conv({call}) write "
        f"Conv({instead}); a size from {_LEAST_CHANNELS} on, with a stride, is given by name."
    )


def _small(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def check_padding(padding: object) -> None:
    """Refuse the capital letters of neural-tangents and JAX."""
    if isinstance(padding, str) and padding.lower() in ("same", "valid", "circular") and not padding.islower():
        raise ValueError(f"padding is written {padding.lower()!r} here, got {padding!r}.")


def check_pool(name: str, *known: str) -> Check:
    """Check of the arguments of AvgPool and SumPool, the first of which is itself."""

    def check(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        check_padding(args[3] if len(args) > 3 else kwargs.get("padding"))
        refuse_keywords(name, kwargs, known)

    return check


def check_whole(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Arguments of Flatten and the global pools, the first of which is itself: there are none."""
    if len(args) > 1 or kwargs:
        name = type(args[0]).__name__
        raise TypeError(f"{name} has no arguments: it takes all positions of a sample together. Write {name}().")


def check_reshape(args: tuple[Any, ...], _: dict[str, Any]) -> None:
    """Arguments of Reshape, the first of which is itself: no tuple."""
    if len(args) == 2 and isinstance(args[1], (tuple, list)):
        raise TypeError(f"Reshape takes numbers, not a tuple: write Reshape({', '.join(map(shown, args[1]))}).")


def check_widths(function: str, *known: str) -> Check:
    """Check of the arguments of mlp and its like: no widths of layers where standard deviations are, by position."""

    def check(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        refuse_keywords(function, kwargs, known)
        third: Any = args[2] if len(args) > 2 else None
        entries = third if isinstance(third, (list, tuple)) or getattr(third, "ndim", False) else [third]
        if any(_is_width(entry) for entry in entries):
            call = ", ".join(map(shown, args[:2]))
            raise ValueError(
                f"fastntk's {function} has no widths: {function}(depth, activation, sigma_w, sigma_b). For "
                f"{function}({call}, {shown(third)}) write {function}({call}), or give sigma_w by name if these are "
                "standard deviations."
            )

    return check


def check_replace(_: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Arguments of a network's replace."""
    refuse_keywords("replace", kwargs, ("sigma_w", "sigma_b", "trainable"))


def check_finite(_: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Arguments of a finite network: the parametrization is that of each layer."""
    if "parametrization" in kwargs:
        raise TypeError(
            "FiniteNetwork has no argument 'parametrization': it is that of each layer, "
            "Dense(parametrization='standard')."
        )


def check_dropout(_: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Arguments of Dropout: no rate, which is one thing in neural-tangents and another in Keras."""
    if "rate" in kwargs:
        raise TypeError(
            "Dropout has no argument 'rate': write p, the probability of dropping a unit, which is the rate of Keras "
            "and 1 - rate of neural-tangents."
        )
    refuse_keywords("Dropout", kwargs, ("p",))


def check_layer_norm(_: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Arguments of LayerNorm."""
    refuse_keywords("LayerNorm", kwargs, ("axes", "eps"))


def check_recurrent(_: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Arguments of Recurrent."""
    refuse_keywords("Recurrent", kwargs, ("activation", "sigma_w", "sigma_u", "sigma_b", "readout", "reverse", "width"))


def check_attention(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Arguments of SelfAttention, the first of which is itself: no numbers of units or heads."""
    # Four heads and more; a standard deviation of such a size is written as a float.
    if any(isinstance(value, (int, np.integer)) and value >= 4 for value in args[1:]):
        raise ValueError(
            "fastntk's SelfAttention needs no numbers of units or heads: SelfAttention(sigma_q, sigma_k, sigma_v, "
            f"sigma_o, sigma_b); got {', '.join(map(shown, args[1:]))}."
        )
    refuse_keywords("SelfAttention", kwargs, _ATTENTION)


def check_aggregate(_: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Arguments of Aggregate."""
    if kwargs.keys() & {"aggregate_axis", "implementation", "to_dense", "pattern"}:
        raise TypeError("Aggregate needs no axis and no pattern: edges are those of samples, fastntk.Graphs.")
    refuse_keywords("Aggregate", kwargs, ("normalize", "self_loops"))


def _is_width(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and bool(_WIDTH_RANGE[0] <= value <= _WIDTH_RANGE[1])


def check_kernel(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Arguments of nngp, ntk and kernels, the first of which is the network: no name of a kernel."""
    if len(args) > 2 and all(isinstance(entry, np.ndarray) and entry.ndim == 1 for entry in args[1:3]):
        raise ValueError(
            "a kernel takes matrices of samples, X of shape (n, d), got two vectors: where scikit-learn calls it for "
            "pairs of rows, as KernelRidge does, pass fastntk.sklearn.NTKKernel(network=net), or NNGPKernel."
        )
    if "gradient" in kwargs:
        raise TypeError(
            "a kernel has no argument 'gradient': its derivatives are net.ntk.gradient(X), net.nngp.gradient(X)."
        )
    if len(args) > 3 or "get" in kwargs or (len(args) > 2 and isinstance(args[-1], str)):
        raise TypeError(
            "a kernel is chosen by the method, not by an argument: net.nngp(X, Y), net.ntk(X, Y), or net.kernels(X, Y) "
            "for both. Y may be left out, all else is given by name."
        )
