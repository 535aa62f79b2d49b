"""How long kernels of convolutional networks take.

python bench/convolutional.py peers --peer PYTHON   # beside neural-tangents, by the Python it is installed for
python bench/convolutional.py limit                 # beside the same arithmetic in the first-level cache
python bench/convolutional.py growth                # with depth, with pairs of images, with positions
python bench/convolutional.py heads                 # what is behind the convolutions, and what it costs
python bench/convolutional.py drawn --data FOLDER   # images with flat regions, digits and MNIST, beside noise
python bench/convolutional.py ... --write           # puts the table into bench/README.md
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import fastntk
from fastntk import AvgPool, Conv, Dense, Flatten, GlobalAvgPool, Sequential
from fastntk.layers.base import Layer
from fastntk.layers.pool import Pooling
from fastntk.layers.window import Axis, Padding, behind
from image_results import images_of
from interleave import Rounds, Run, clock, interleave, show_ratio
from peers.client import Peer
from tables import run

Array = NDArray[Any]

SIGMA_W = 2**0.5
BLOCK = Conv((3, 3), sigma_w=SIGMA_W), fastntk.Activation("relu")

#: The words of peers/README.md.
WORDS: dict[str, Layer | str] = {
    "conv": BLOCK[0],
    "relu": "relu",
    "pool": AvgPool((2, 2)),
    "flatten": Flatten(),
    "gap": GlobalAvgPool(),
    "dense": Dense(SIGMA_W),
}

#: Of each case: its network, the side of its images, images of a call that takes the peer some seconds, images of a
#: call where what depends on single images takes us next to no time, and the ratio to reach.
CASES = {
    "5 convolutions, Flatten": ("conv relu " * 5 + "flatten dense", 28, 128, 1024, 20),
    "3 convolutions, GlobalAvgPool": ("conv relu " * 3 + "gap dense", 14, 12, 96, 150),
    "Myrtle-5": ("conv relu conv relu pool conv relu pool conv relu gap dense", 16, 10, 64, 100),
}


def pictures(n: int, *positions: int, channels: int = 1) -> Array:
    """Images of independent pixels, the same in every run."""
    return np.random.default_rng(0).random((n, *positions, channels), np.float32)


def convolutions(depth: int, *head: Layer, sigma_b: float = 0.0, padding: Padding = "same") -> Sequential:
    """3x3 convolutions with ReLU, a head, and Dense."""
    conv = Conv((3, 3), padding=padding, sigma_w=SIGMA_W, sigma_b=sigma_b)
    return Sequential(*(conv, "relu") * depth, *(head or (Flatten(),)), Dense(SIGMA_W, sigma_b))


def pairs(n: int) -> float:
    """Different entries of a symmetric kernel."""
    return n * (n + 1) / 2


def rounds_of(arguments: argparse.Namespace) -> int:
    """Return how often each contender runs."""
    return int(arguments.rounds or 5)


def peers(arguments: argparse.Namespace) -> Iterator[str]:
    """NTK of n images against neural-tangents (compiled and warm), float32, of ReLU, without bias, one `get` a call.

    A symmetric kernel, n² entries in all; ours of as many images, and of more, where the pairs of images alone count.
    It runs as installed, and with the flag of peers/README.md, which brings back an older, faster runtime of XLA.
    The ratios are of times per entry. The difference is off the diagonal, relative to sqrt(Theta(x, x) Theta(x', x')).
    """
    if arguments.peer is None:
        raise SystemExit("peers needs --peer PYTHON, that of an environment with neural-tangents (peers/README.md).")
    kinds = {
        "older runtime": Peer("neural-tangents", arguments.peer),
        "as installed": Peer("neural-tangents", arguments.peer, XLA_FLAGS=""),
    }
    yield "| network | images | n | it runs | µs an entry | ours | ratio | ours, n | ratio | wanted | difference |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for name, (words, side, few, many, wanted) in CASES.items():
        net = Sequential(*(WORDS[word] for word in words.split()))
        x = pictures(many, side, side)
        with tempfile.TemporaryDirectory() as folder:
            path, saved = (str(Path(folder) / file) for file in ("x.npy", "k.npy"))
            np.save(path, x[:few])
            case = {"x": path, "layers": words, "sigma_w": SIGMA_W, "dtype": "float32"}
            contenders: dict[str, Run] = {kind: partial(peer.seconds, **case) for kind, peer in kinds.items()}
            contenders |= {"few": clock(partial(net.ntk, x[:few])), "many": clock(partial(net.ntk, x))}
            images = dict.fromkeys(contenders, few) | {"many": many}
            times = per_entry(interleave(contenders, rounds_of(arguments)), images)
            for kind, peer in kinds.items():
                peer.ask(save=saved, **case)
                difference = off_diagonal(np.load(saved), net.ntk(x[:few].astype(np.float64)))
                entry = {contender: 1e6 * times.median(contender) for contender in contenders}
                yield (
                    f"| {name} | {side}x{side} | {few} | {kind} | {entry[kind]:,.1f} | {entry['few']:,.2f} "
                    f"| {show_ratio(times.ratio(kind, 'few'))} | {entry['many']:,.2f}, {many:,} "
                    f"| {show_ratio(times.ratio(kind, 'many'))} | {wanted} | {difference:.0e} |"
                )
    for peer in kinds.values():
        peer.close()


def per_entry(times: Rounds, images: dict[str, int]) -> Rounds:
    """Return the same rounds, per entry of the symmetric kernel of so many images."""
    return Rounds({name: [t / images[name] ** 2 for t in seconds] for name, seconds in times.seconds.items()})


def off_diagonal(theirs: Array, ours: Array) -> float:
    """Largest difference off the diagonal, relative to that of the same pair."""
    difference = np.abs(theirs - ours) / np.sqrt(np.outer(ours.diagonal(), ours.diagonal()))
    np.fill_diagonal(difference, 0)
    return float(difference.max())


def limit(arguments: argparse.Namespace) -> Iterator[str]:
    """NTK of 10 convolutions, ReLU, Flatten: ns per pair of positions and layer on one thread, and in L1.

    The limit is the same network on images so small that all that a pair carries stays in the first-level cache, the
    fastest of four sizes; and so many that the tables of single images take next to no time. Circular padding, so that
    every position has nine taps, whatever the size; "same" is beside it. Wanted: 0.6.
    """
    depth, sizes, n, many = 10, ((4, 4), (8, 8), (4, 16), (3, 28)), 768, 1536
    yield '| dtype | sigma_b | 28x28, "same", ns | 28x28, circular, ns | in L1, ns | of | in L1 / 28x28 |'
    yield "|---|---|---|---|---|---|---|"
    with threadpool_limits(1):
        for dtype in ("float32", "float64"):
            for sigma_b in (0.0, 0.1):
                circular = convolutions(depth, sigma_b=sigma_b, padding="circular")
                contenders = {
                    "same": ((28, 28), n, convolutions(depth, sigma_b=sigma_b)),
                    "28": ((28, 28), n, circular),
                }
                contenders |= {f"{height}x{width}": ((height, width), many, circular) for height, width in sizes}
                times = interleave(
                    {
                        name: clock(partial(net.ntk, pictures(images, *size).astype(dtype)))
                        for name, (size, images, net) in contenders.items()
                    },
                    rounds_of(arguments),
                )
                work = {name: depth * math.prod(size) * pairs(images) for name, (size, images, _) in contenders.items()}
                each = Rounds({name: [1e9 * t / work[name] for t in times.seconds[name]] for name in contenders})
                least = min(list(contenders)[2:], key=each.median)
                yield (
                    f"| {dtype} | {sigma_b:g} | {each.median('same'):.2f} | {each.median('28'):.2f} "
                    f"| {each.median(least):.2f} | {least} | {show_ratio(each.ratio(least, '28'))} |"
                )


def growth(arguments: argparse.Namespace) -> Iterator[str]:
    """NTK of convolutions, ReLU, Flatten, float32: growth with depth, with pairs of images, with positions.

    Linear in each: then the time per pair of images, position and convolution stays what it is.
    """
    tables = {
        "convolutions, for 384 images of 28x28": {str(depth): (depth, 384, 28) for depth in (1, 2, 5, 10, 20)},
        "images of 28x28, 5 convolutions": {f"{n:,}": (5, n, 28) for n in (128, 256, 512, 1024, 2048)},
        "size of 384 images, 5 convolutions": {f"{side}x{side}": (5, 384, side) for side in (8, 16, 32, 64)},
    }
    for title, cases in tables.items():
        times = interleave(
            {
                name: clock(partial(convolutions(depth).ntk, pictures(n, side, side)))
                for name, (depth, n, side) in cases.items()
            },
            rounds_of(arguments),
        )
        yield f"| {title} | s | µs a pair | ns a pair, position, convolution |"
        yield "|---|---|---|---|"
        for name, (depth, n, side) in cases.items():
            pair = times.median(name) / pairs(n)
            yield f"| {name} | {times.median(name):.3f} | {1e6 * pair:.2f} | {1e9 * pair / (depth * side**2):.2f} |"
        yield ""


HEADS: dict[str, tuple[Layer, ...]] = {
    "Flatten()": (Flatten(),),
    "AvgPool(2), Flatten()": (AvgPool((2, 2)), Flatten()),
    "AvgPool(4, stride=1), Flatten()": (AvgPool((4, 4), stride=1), Flatten()),
    "GlobalAvgPool()": (GlobalAvgPool(),),
}


def heads(arguments: argparse.Namespace) -> Iterator[str]:
    """NTK of 5 convolutions, ReLU and a head, float32: pairs of positions it needs, and time per pair of images.

    Pairs of positions are those behind each convolution, summed. The time is that of n rows less that of one, of n
    columns, so that what depends on single columns is not in it.
    """
    yield "| size | head | position pairs | of all | n | time a pair | ns a position pair |"
    yield "|---|---|---|---|---|---|---|"
    for side in (8, 14, 28):
        for name, head in HEADS.items():
            net = convolutions(5, *head)
            count = position_pairs(net, (side, side))
            n = 16 * min(64, max(1, round((1e9 / count) ** 0.5 / 16)))  # some seconds
            x = pictures(n, side, side)
            calls = {"one": clock(partial(net.ntk, x[:1], x)), "all": clock(partial(net.ntk, x, x.copy()))}
            times = interleave(calls, rounds_of(arguments))
            pair = (times.median("all") - times.median("one")) / ((n - 1) * n)
            cells = f"{count:,}", f"{count / (5 * side**4):.2g}", f"{n:,}", show_time(pair), f"{1e9 * pair / count:.2f}"
            yield f"| {side}x{side} | `{name}` | {' | '.join(cells)} |"


def show_time(seconds: float) -> str:
    """Seconds in the unit that suits."""
    return f"{1e3 * seconds:.2f} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.2f} µs"


def position_pairs(net: Sequential, positions: tuple[int, ...]) -> int:
    """Pairs of positions that a network without branches needs behind its convolutions, read from its end."""
    windows = [layer for layer in net if isinstance(layer, Conv | Pooling)]
    sizes = accumulate(windows, lambda before, layer: behind(layer.axes(before)), initial=positions)
    axes = [layer.axes(size) for layer, size in zip(windows, sizes, strict=False)]
    needed = [np.eye(axis.outputs, dtype=bool) for axis in axes[-1]]
    total = 0
    for layer, along in zip(reversed(windows), reversed(axes), strict=True):
        total += int(np.prod([found.sum() for found in needed])) if isinstance(layer, Conv) else 0
        each = isinstance(layer, Pooling)
        needed = [before(axis, found, each=each) for axis, found in zip(along, needed, strict=True)]
    return total


def before(axis: Axis, needed: Array, *, each: bool) -> Array:
    """Pairs along an axis that a window reads for those: each tap with itself, or each with each."""
    found = np.zeros((axis.inputs, axis.inputs), bool)
    for p, q in np.argwhere(needed):
        left, right = axis.sources[p], axis.sources[q]
        if each:
            found[np.ix_(left[left >= 0], right[right >= 0])] = True
        else:
            both = (left >= 0) & (right >= 0)
            found[left[both], right[both]] = True
    return found


def drawn(arguments: argparse.Namespace) -> Iterator[str]:
    """NTK of images with flat regions, beside that of noise, float32, 28x28: what gaps cost that are computed again.

    Flat patches of different brightness point the same way: their gaps have no digits left beside the difference of
    their norms, and are computed from the taps. Digits are scikit-learn's, each pixel 3x3, black around them; MNIST
    as in image_results.py.
    """
    if arguments.data is None:
        raise SystemExit("drawn needs --data FOLDER, with mnist_5k.csv.gz and the t10k files in it.")
    digits, mnist = images_of("digits", None).train, images_of("mnist", str(arguments.data)).train
    enlarged = digits.repeat(3, axis=1).repeat(3, axis=2)
    around = ((0, 0), (2, 2), (2, 2), (0, 0))
    images = {"noise": pictures(1000, 28, 28), "MNIST": mnist, "digits": np.pad(enlarged, around, mode="minimum")}
    yield "| network | n | noise, µs a pair | MNIST | over noise | digits | over noise |"
    yield "|---|---|---|---|---|---|---|"
    nets = {
        "7 convolutions, Flatten": (fastntk.cnn(7, "relu", SIGMA_W, 0.1), 512),
        "3 convolutions and AvgPool(2), Flatten": (fastntk.cnn(3, "relu", SIGMA_W, 0.1, pool=2), 96),
    }
    for name, (net, n) in nets.items():
        times = interleave({what: clock(partial(net.ntk, x[:n])) for what, x in images.items()}, rounds_of(arguments))
        pair = {what: f"{1e6 * times.median(what) / pairs(n):.2f}" for what in images}
        ratio = {what: show_ratio(times.ratio(what, "noise")) for what in images}
        others = " | ".join(f"{pair[what]} | {ratio[what]}" for what in ("MNIST", "digits"))
        yield f"| {name} | {n} | {pair['noise']} | {others} |"


SECTIONS = {"peers": peers, "limit": limit, "growth": growth, "heads": heads, "drawn": drawn}


if __name__ == "__main__":
    run(
        "convolutional", __doc__, SECTIONS,
        rounds={"type": int, "help": "how often each contender runs, 5 by itself"},
        data={"type": Path, "help": "of drawn: folder with the files of MNIST"},
        peer={"type": str, "help": "of peers: Python of an environment with neural-tangents"},
    )  # fmt: skip
