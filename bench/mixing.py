"""How long kernels take of networks that mix the nodes of samples: attention, graphs, recurrence.

python bench/mixing.py peers --peer PYTHON   # beside neural-tangents, by the Python it is installed for
python bench/mixing.py graphs                # beside SciPy's products with kron(A, A'), and with nodes and edges
python bench/mixing.py sequences             # with the length of sequences
python bench/mixing.py nodes                 # between the nodes of one graph, on one thread and on all
python bench/mixing.py memory                # with the number of graphs
python bench/mixing.py ... --write           # puts the table into bench/README.md
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import fastntk
from convolutional import off_diagonal, pairs, per_entry, rounds_of
from fastntk import Aggregate, Dense, GlobalAvgPool, GlobalSumPool, Graphs, Recurrent, SelfAttention, Sequential
from interleave import Run, clock, interleave, show_ratio
from measured import measured
from peers.client import Peer
from tables import run

Array = NDArray[Any]

SIGMA_W = 2**0.5
WEIGHTS = Dense(SIGMA_W)

#: The words of peers/README.md, and samples of 32 nodes: the network, of how many samples a call, and of ours.
WORDS: dict[str, Any] = {
    "attention": SelfAttention(),
    "aggregate": Aggregate(),
    "relu": "relu",
    "gap": GlobalAvgPool(),
    "gsp": GlobalSumPool(),
    "dense": WEIGHTS,
}
NODES, CHANNELS = 32, 16
CASES = {
    "attention": ("dense attention gap dense", 64, 512, 20),
    "2 x [attention, ReLU]": ("dense attention relu dense attention relu gap dense", 48, 256, 20),
    "aggregation": ("aggregate dense relu dense aggregate dense relu gsp", 64, 512, 20),
}


def samples(n: int, nodes: int = NODES, channels: int = CHANNELS) -> Array:
    """Independent numbers, the same in every run."""
    return np.random.default_rng(0).normal(size=(n, nodes, channels))


def random_graphs(n: int, nodes: int, edges: float, channels: int = 7) -> Graphs:
    """Graphs of half to three halves of so many nodes, with as many edges in the mean."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(nodes // 2, nodes + nodes // 2, size=n, endpoint=True)
    upper = [np.triu(rng.random((size, size)) < edges / (nodes * (nodes - 1) / 2), 1) for size in sizes]
    features = [rng.normal(size=(size, channels)) for size in sizes]
    return Graphs(features, [sparse.csr_array((half | half.T).astype(float)) for half in upper])


def gntk(blocks: int = 2) -> Sequential:
    """Blocks of aggregation and two layers with ReLU, and the sum of all nodes."""
    return Sequential(*(Aggregate(), WEIGHTS, "relu", WEIGHTS, "relu") * blocks, GlobalSumPool())


def peers(arguments: argparse.Namespace) -> Iterator[str]:
    """NTK of n samples of 32 nodes against neural-tangents (compiled and warm), float32, one `get` a call.

    A symmetric kernel, n² entries in all; ours of as many samples, and of more, where the pairs of samples alone count.
    Aggregation is over random graphs, half of all edges, which it takes as dense matrices; with the flag of
    peers/README.md. Ratios are of times per entry; the difference is off the diagonal, relative to sqrt(Theta(x, x)
    Theta(x', x')).
    """
    if arguments.peer is None:
        raise SystemExit("peers needs --peer PYTHON, that of an environment with neural-tangents (peers/README.md).")
    peer = Peer("neural-tangents", arguments.peer)
    yield "| network | n | µs an entry | ours | ratio | ours, n | ratio | wanted | difference |"
    yield "|---|---|---|---|---|---|---|---|---|"
    rng = np.random.default_rng(1)
    for name, (words, few, many, wanted) in CASES.items():
        net = Sequential(*(WORDS[word] for word in words.split()))
        x = samples(many).astype(np.float32)
        half = np.triu(rng.random((many, NODES, NODES)) < 0.5, 1)
        edges = half | half.swapaxes(1, 2)
        ours: Any = Graphs(list(x), list(edges)) if "aggregate" in words else x
        with tempfile.TemporaryDirectory() as folder:
            path, pattern, saved = (str(Path(folder) / file) for file in ("x.npy", "edges.npy", "k.npy"))
            np.save(path, x[:few])
            np.save(pattern, (edges[:few] | np.eye(NODES, dtype=bool)).astype(np.float32))
            case = {"x": path, "layers": words, "sigma_w": SIGMA_W, "dtype": "float32"}
            case |= {"pattern": pattern} if "aggregate" in words else {}
            contenders: dict[str, Run] = {
                "theirs": partial(peer.seconds, **case),
                "few": clock(partial(net.ntk, ours[:few])),
                "many": clock(partial(net.ntk, ours)),
            }
            counts = {"theirs": few, "few": few, "many": many}
            times = per_entry(interleave(contenders, rounds_of(arguments)), counts)
            peer.ask(save=saved, **case)
            difference = off_diagonal(np.load(saved), net.ntk(ours[:few]))
            entry = {contender: 1e6 * times.median(contender) for contender in contenders}
            yield (
                f"| {name} | {few} | {entry['theirs']:,.0f} | {entry['few']:,.1f} "
                f"| {show_ratio(times.ratio('theirs', 'few'))} | {entry['many']:,.1f}, {many} "
                f"| {show_ratio(times.ratio('theirs', 'many'))} | {wanted} | {difference:.0e} |"
            )
    peer.close()


def by_kron(X: Graphs, blocks: int = 2) -> Array:
    """NTK of `gntk`, pair by pair: SciPy's sparse products with kron(A, A'), NumPy's arc-cosine formulas."""
    loops = [(one.values, sparse.csr_array(one.adjacency + sparse.eye_array(len(one.values)))) for one in X]
    own = [_through(u, A, u, A, None, blocks) for u, A in loops]
    n = len(X)
    out = np.empty((n, n))
    for i in range(n):
        for j in range(i, n):
            both = loops[i], loops[j]
            found = _through(*both[0], *both[1], (own[i][1], own[j][1]), blocks)
            out[i, j] = out[j, i] = found[0].sum()
    return out


def _through(
    u: Array, A: Any, v: Array, B: Any, variances: tuple[list[Array], list[Array]] | None, blocks: int
) -> tuple[Array, list[Array]]:
    """Theta of all pairs of nodes of two graphs, and what K of a graph with itself is before each ReLU."""
    K, Theta = u @ v.T / u.shape[1], np.zeros((len(u), len(v)))
    product = sparse.csr_array(sparse.kron(A, B))
    found: list[Array] = []
    for _ in range(blocks):
        K, Theta = ((product @ k.ravel()).reshape(k.shape) for k in (K, Theta))
        K = SIGMA_W**2 * K
        Theta = K + SIGMA_W**2 * Theta
        for layer in range(2):
            if variances is None:
                q1 = q2 = K.diagonal().copy()
                found.append(q1)
            else:
                q1, q2 = variances[0][len(found)], variances[1][len(found)]
                found.append(q1)
            s = np.sqrt(np.multiply.outer(q1, q2))
            c = np.clip(np.divide(K, s, out=np.zeros_like(K), where=s > 0), -1, 1)
            angle = np.arccos(c)
            K = s * (np.sqrt(1 - c * c) + (np.pi - angle) * c) / (2 * np.pi)
            Theta = Theta * (np.pi - angle) / (2 * np.pi)
            if layer == 0:
                K = SIGMA_W**2 * K
                Theta = K + SIGMA_W**2 * Theta
    return Theta, found


def graphs(arguments: argparse.Namespace) -> Iterator[str]:
    """NTK of 2 x [Aggregate, Dense, ReLU, Dense, ReLU], sums of nodes: microseconds a pair of graphs.

    Random graphs like those of MUTAG (18 nodes, 20 edges) and COLLAB (74 nodes, 2,458 edges), and of 64 nodes with more
    and more edges. The baseline multiplies with kron(A, A') by SciPy and computes ReLU by NumPy, of as many pairs as
    take it a second; all on as many threads as there are.
    """
    net = gntk()
    yield "| graphs | nodes | edges | n | µs a pair | kron(A, A'), µs a pair | ratio | wanted | difference |"
    yield "|---|---|---|---|---|---|---|---|---|"
    cases = [("like MUTAG", 18, 20, 188, 100), ("like COLLAB", 74, 2458, 120, 100)]
    cases += [("more edges", 64, edges, 128, 0) for edges in (64, 128, 256, 512, 1024, 2000)]
    for name, nodes, edges, n, wanted in cases:
        X = random_graphs(n, nodes, edges)
        seconds = min(clock(partial(net.ntk, X))() for _ in range(rounds_of(arguments)))
        each = 1e6 * seconds / pairs(n)
        few = X[: 3 if edges > 1000 else 12]
        start = time.perf_counter()
        slow = by_kron(few)
        theirs = 1e6 * (time.perf_counter() - start) / pairs(len(few))
        difference = np.abs(slow / net.ntk(few) - 1).max()
        goal = f"{wanted}" if wanted else ""
        yield (
            f"| {name} | {len(X.values) / n:.0f} | {X.adjacency.nnz / 2 / n:,.0f} | {n} | {each:,.1f} | {theirs:,.0f} "
            f"| {theirs / each:,.0f} | {goal} | {difference:.0e} |"
        )


def sequences(arguments: argparse.Namespace) -> Iterator[str]:
    """NTK of attention, of a transformer of two blocks and of a recurrent layer: microseconds a pair of sequences.

    Both transformers and attention end in the mean over steps; ReLU, sequences of 16 channels, as many as 16,384
    steps are.
    """
    nets = {
        "attention": Sequential(WEIGHTS, SelfAttention(), GlobalAvgPool(), WEIGHTS),
        "transformer": fastntk.transformer(2),
        "recurrent": Sequential(Recurrent("relu", SIGMA_W), WEIGHTS),
    }
    yield f"| steps | {' | '.join(nets)} |"
    yield "|---|" + "---|" * len(nets)
    for length in (4, 8, 16, 32, 64, 128, 256):
        n = max(8, 4096 // length)
        x = samples(n, length)
        cells = []
        for net in nets.values():
            seconds = min(clock(partial(net.ntk, x))() for _ in range(min(3, rounds_of(arguments))))
            cells.append(f"{1e6 * seconds / pairs(n):,.1f}")
        yield f"| {length} | {' | '.join(cells)} |"


def nodes(arguments: argparse.Namespace) -> Iterator[str]:
    """NTK between the nodes of one graph, `gcn` of two layers without readout: seconds, on one thread and on all.

    As for semi-supervised learning: random graphs with twice as many edges as nodes, 16 channels.
    """
    net = fastntk.gcn(2, "relu", SIGMA_W)
    yield "| nodes | one thread, s | all threads, s | ratio |"
    yield "|---|---|---|---|"
    for count in (500, 1_000, 2_000, 4_000):
        rng = np.random.default_rng(0)
        upper = sparse.triu(sparse.random_array((count, count), density=4 / count, rng=rng), 1) > 0
        X = Graphs([rng.normal(size=(count, CHANNELS))], [(upper + upper.T).astype(float)])

        def alone(X: Graphs = X) -> float:
            with threadpool_limits(1, "openmp"):
                return clock(partial(net.ntk, X))()

        found = interleave({"one": alone, "all": clock(partial(net.ntk, X))}, rounds_of(arguments))
        one, every = (min(found.seconds[name]) for name in ("one", "all"))
        yield f"| {count:,} | {one:.3f} | {every:.3f} | {show_ratio(found.ratio('one', 'all'))} |"


def peak_of(n: int) -> float:
    """Seconds of a kernel of so many graphs with 64 others."""
    X = random_graphs(n, 18, 20)
    start = time.perf_counter()
    gntk().ntk(X, X[:64])
    return time.perf_counter() - start


def memory(_: argparse.Namespace) -> Iterator[str]:
    """NTK of many graphs like those of MUTAG with 64: memory beyond what the process has with 64, and time."""
    yield "| graphs | graphs and result, MiB | more memory, MiB | s |"
    yield "|---|---|---|---|"
    least = None
    for n in (64, 1_000, 10_000, 50_000):
        seconds, _cpu, peak = measured("mixing", "peak_of", n)
        least = peak if least is None else least
        X = random_graphs(min(n, 1000), 18, 20)
        given = sum(part.nbytes for part in X.arrays) * n / len(X) + 8 * 64 * n
        yield f"| {n:,} | {given / 2**20:,.0f} | {(peak - least) / 2**20:,.0f} | {seconds:.2f} |"


SECTIONS = {"peers": peers, "graphs": graphs, "sequences": sequences, "nodes": nodes, "memory": memory}


if __name__ == "__main__":
    run(
        "mixing", __doc__, SECTIONS,
        rounds={"type": int, "help": "how often each contender runs, 5 by itself"},
        peer={"type": str, "help": "of peers: Python of an environment with neural-tangents"},
    )  # fmt: skip
