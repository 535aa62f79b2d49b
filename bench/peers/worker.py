"""Time a peer of fastntk: one JSON request per line on stdin, one JSON answer per line on stdout.

Runs under the peer's own interpreter, so it imports nothing but NumPy, the peer and the standard
library. The parent keeps one worker per peer alive and sends requests in turn: that is how its
timings are interleaved with fastntk's. README.md lists the fields of requests and answers.
"""

import functools
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

# The peer's best case: XLA's older runtime is 1.2 to 1.6 times faster here (README.md). A variable
# that the parent has set stays as it is.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_thunk_runtime=false")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

PACKAGES = {
    "neural-tangents": ("neural-tangents", "jax", "jaxlib", "numpy", "scipy"),
    "scikit-ntk": ("scikit-ntk", "scikit-learn", "numpy", "scipy"),
    "botorch": ("botorch", "gpytorch", "torch", "numpy"),
    "fastntk.gpytorch": ("fastntk", "gpytorch", "torch", "numpy"),
}


@dataclass(frozen=True)
class Case:
    """The part of a request that decides which kernel is built; defaults as in fastntk."""

    peer: str
    depth: int = 0
    activation: str = "relu"
    sigma_w: float = 1.0
    sigma_b: float = 0.0
    kernel: str = "ntk"
    dtype: str = "float64"
    nodes: int = 25
    residual: bool = False
    layers: str = ""
    """Of a network for images, one word a layer; `depth`, `activation`, `residual` say nothing then."""
    pattern: str = ""
    """Path of the edges of graphs, loops included, of shape (n, nodes, nodes); for `layers` with `aggregate`."""
    derivatives: str = ""
    """Of the sum of the kernel's entries, beside it: in the `inputs`, the `parameters`, or both, `all`."""

    def __post_init__(self) -> None:
        """Reject what no peer knows."""
        if self.peer not in PACKAGES:
            raise ValueError(f"peer is {self.peer!r}; expected one of {sorted(PACKAGES)}")
        if self.kernel not in ("nngp", "ntk"):
            raise ValueError(f"kernel is {self.kernel!r}; expected 'nngp' or 'ntk'")
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f"dtype is {self.dtype!r}; expected 'float32' or 'float64'")


@dataclass(frozen=True)
class Peer:
    """How one peer computes one case."""

    place: Callable[[np.ndarray], Any]
    """Brings the input to where the peer wants it; not timed."""
    compute: Callable[[Any], Any]
    """Returns the finished kernel, an array of the peer's; timed."""
    scale: Callable[[int], float] | None
    """For d features, the factor that makes the peer's kernel fastntk's; None if there is none."""


@functools.cache
def neural_tangents(case: Case) -> Peer:
    """One jitted function for one kernel, input already on the device, output waited for."""
    jax = import_module("jax")
    jnp = import_module("jax.numpy")
    stax = import_module("neural_tangents.stax")

    def dense() -> Any:
        bias = case.sigma_b or None
        return stax.Dense(1, W_std=case.sigma_w, b_std=bias, parameterization="ntk")

    def activation(name: str = case.activation) -> Any:
        match name:
            case "relu":
                return stax.Relu()
            case "erf":
                return stax.Erf()
            case "tanh":
                return stax.ElementwiseNumerical(jnp.tanh, deg=case.nodes, df=lambda x: 1 - jnp.tanh(x) ** 2)
        raise ValueError(f"activation is {name!r}; neural-tangents is set up for relu, erf, tanh")

    def layer(word: str) -> Any:
        match word:
            case "conv":
                bias = case.sigma_b or None
                return stax.Conv(1, (3, 3), padding="SAME", W_std=case.sigma_w, b_std=bias, parameterization="ntk")
            case "pool":
                return stax.AvgPool((2, 2), strides=(2, 2))
            case "flatten":
                return stax.Flatten()
            case "gap":
                return stax.GlobalAvgPool()
            case "attention":
                return stax.GlobalSelfAttention(1, 1, 1, 1)
            case "aggregate":
                return stax.Aggregate(1)
            case "gsp":
                return stax.GlobalSumPool()
            case "dense":
                return dense()
        return activation(word)

    def block() -> Any:
        branches = stax.parallel(stax.serial(activation(), dense()), stax.Identity())
        return stax.serial(stax.FanOut(2), branches, stax.FanInSum())

    if case.layers:
        network = [layer(word) for word in case.layers.split()]
    elif case.residual:
        network = [dense(), *(block() for _ in range(case.depth)), dense()]
    else:
        network = [*(part for _ in range(case.depth) for part in (dense(), activation())), dense()]
    _, _, kernel_fn = stax.serial(*network)
    edges = jnp.asarray(np.load(case.pattern)) if case.pattern else None
    given = {} if edges is None else {"pattern": (edges, edges)}
    jitted = jax.jit(lambda x: kernel_fn(x, None, case.kernel, **given))
    return Peer(jnp.asarray, lambda x: jitted(x).block_until_ready(), lambda _: 1.0)


@functools.cache
def scikit_ntk(case: Case) -> Peer:
    """Call scikit-ntk's ReLU NTK, which is ours up to a factor when there is no bias.

    Its depth is our depth L; its c = 2 is sigma_w = sqrt(2) in the hidden layers. It differs in
    that the input is not divided by d, the first layer has sigma_w = 1, the bias is trained but
    starts at 0 (it enters Θ, not K), and the result is divided by (L + 1)(bias² + 1). Without
    bias, ReLU being homogeneous:
        Θ = (sigma_w²/2)^(L+1) · (2/d) · (L + 1) · NeuralTangentKernel(depth=L, bias=0).
    With bias no factor does; the time is still that of the same arithmetic.
    """
    if (case.activation, case.kernel, case.residual, case.layers) != ("relu", "ntk", False, "") or case.depth < 1:
        raise ValueError(
            f"activation is {case.activation!r}, kernel {case.kernel!r}, depth {case.depth}, residual {case.residual}, "
            f"layers {case.layers!r}; scikit-ntk has only the ReLU NTK of a stack of depth >= 1"
        )

    def scale(d: int) -> float:
        layers: int = case.depth + 1
        return float((case.sigma_w**2 / 2) ** layers * 2 / d * layers)

    ntk = import_module("skntk").NeuralTangentKernel(depth=case.depth, bias=case.sigma_b)
    return Peer(np.asarray, ntk, scale if case.sigma_b == 0 else None)


@functools.cache
def torch_module(case: Case) -> Peer:
    """Make BoTorch's kernel, or ours for GPyTorch, called as a model does; of a backward pass, the inputs' gradient."""
    if (case.activation, case.kernel, case.residual, case.layers) != ("relu", "nngp", False, "") or case.depth < 1:
        raise ValueError(
            f"activation is {case.activation!r}, kernel {case.kernel!r}, depth {case.depth}, residual {case.residual}, "
            f"layers {case.layers!r}; BoTorch has only the ReLU NNGP of a stack of depth >= 1"
        )
    torch = import_module("torch")
    dtype = getattr(torch, case.dtype)
    if case.peer == "botorch":
        kernel = import_module("botorch.models.kernels").InfiniteWidthBNNKernel(case.depth).to(dtype)
        kernel.weight_var, kernel.bias_var = (torch.tensor(s**2, dtype=dtype) for s in (case.sigma_w, case.sigma_b))
    else:
        net = import_module("fastntk").mlp(case.depth, "relu", case.sigma_w, case.sigma_b)
        kernel = import_module("fastntk.gpytorch").NNGPKernel(net).to(dtype)
        kernel.sigma_w, kernel.sigma_b = case.sigma_w, case.sigma_b
    kernel.requires_grad_(case.derivatives in ("parameters", "all"))

    def compute(x: Any) -> Any:
        if not case.derivatives:
            with torch.no_grad():
                return kernel(x).to_dense().numpy()
        x.grad = None
        matrix = kernel(x).to_dense()
        matrix.backward(torch.ones_like(matrix))
        return (matrix.detach() if x.grad is None else x.grad).numpy()

    in_inputs = case.derivatives in ("inputs", "all")
    return Peer(lambda x: torch.tensor(x, requires_grad=in_inputs), compute, lambda _: 1.0)


def build(case: Case) -> Peer:
    """Return the peer, set to the precision of the case."""
    if case.peer in ("botorch", "fastntk.gpytorch"):
        return torch_module(case)
    if case.peer == "scikit-ntk":
        return scikit_ntk(case)
    # Per request, not once: with x64 enabled, float32 inputs give a float64 kernel.
    import_module("jax").config.update("jax_enable_x64", case.dtype == "float64")
    return neural_tangents(case)


def timed(peer: Peer, x: Any) -> tuple[float, Any]:
    """Return the seconds of one call and its result."""
    start = time.perf_counter()
    result = peer.compute(x)
    return time.perf_counter() - start, result


def versions(peer: str) -> dict[str, str]:
    """Return the versions that identify a measurement."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES[peer]}
    return found | {"python": platform.python_version()}


def answer(request: dict[str, Any], warm: set[tuple[Case, tuple[int, ...]]]) -> dict[str, Any]:
    """Run one request; `warm` holds the (case, shape) pairs that are already compiled."""
    path, repeat, save = request.pop("x"), request.pop("repeat", 1), request.pop("save", None)
    case = Case(**request)
    array = np.load(path).astype(case.dtype, copy=False)
    peer = build(case)
    x = peer.place(array)

    first: float | None = None
    if (case, array.shape) not in warm:
        first, result = timed(peer, x)
        if result.dtype != case.dtype:
            raise TypeError(f"{case.peer} returned {result.dtype} where {case.dtype} was asked for")
        del result
        warm.add((case, array.shape))

    seconds: list[float] = []
    result = None
    for _ in range(repeat):
        result = None  # frees the last result first: a second one would have to be paged in
        elapsed, result = timed(peer, x)
        seconds.append(elapsed)

    scale = peer.scale(array.shape[1]) if peer.scale else None
    if save:
        np.save(save, np.asarray(result) * np.dtype(case.dtype).type(scale or 1.0))
    return {
        "seconds": seconds,
        "first_call_seconds": first,
        "scale": scale,
        "versions": versions(case.peer),
    }


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer requests until the input ends; a request that fails gets {"error": sentence}."""
    # Whatever a peer prints goes to stderr; only answers reach the real stdout.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    serve(functools.partial(answer, warm=set()))
