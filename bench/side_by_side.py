"""What users of fastntk and of its peers write for the same, beside each other: time, memory, errors, lines.

python bench/side_by_side.py cases --jax PYTHON --skntk PYTHON --botorch PYTHON    # some seven minutes
python bench/side_by_side.py ... --samples 50     # as a trial: at most so many samples
python bench/side_by_side.py ... --write          # puts the table into bench/README.md, and the figure beside it

What is timed is what peers/cases/ has, a file each; peers/README.md says how the Pythons of peers are made.
"""

from __future__ import annotations

import argparse
import ast
import io
import sys
import tempfile
import tokenize
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray

from botorch_kernel import exact_kernel
from interleave import Run, interleave, show_ratio
from peers.client import Peer
from tables import run

Array = NDArray[Any]

PEERS = Path(__file__).with_name("peers")
FILES = PEERS / "cases"
FIGURE = Path(__file__).with_name("peers.png")
ROUNDS = 3

#: Of a file of peers/cases, by the end of its name: who it is of, and the option with its Python.
LIBRARIES = {
    "fastntk": ("fastntk", None),
    "neural_tangents": ("neural-tangents", "jax"),
    "scikit_ntk": ("scikit-ntk", "skntk"),
    "botorch": ("BoTorch", "botorch"),
    "scikit_learn": ("scikit-learn, RBF", "skntk"),
}
DTYPES = ("float32", "float64")
FEW = 40
"""Samples of a fit whose likelihood is computed in 50 digits."""


class Case(NamedTuple):
    """What it is, the samples, and who has it."""

    title: str
    samples: tuple[int, ...]
    libraries: tuple[str, ...]
    dtypes: tuple[str, ...] = DTYPES


CASES = {
    "mlp": Case("NTK, mlp", (2048, 64), ("fastntk", "neural_tangents", "scikit_ntk")),
    "nngp": Case("NNGP, mlp", (2048, 20), ("fastntk", "neural_tangents", "botorch")),
    "tanh": Case("NTK, tanh", (128, 16), ("fastntk", "neural_tangents")),
    "resmlp": Case("NTK, ResMLP", (2048, 64), ("fastntk", "neural_tangents")),
    "cnn_flatten": Case("NTK, CNN, Flatten", (96, 16, 16, 1), ("fastntk", "neural_tangents")),
    "cnn_pooled": Case("NTK, CNN, pooled", (24, 8, 8, 1), ("fastntk", "neural_tangents")),
    "gradient": Case("gradient of an NNGP", (1024, 20), ("fastntk", "neural_tangents", "botorch")),
    "fit": Case("GP fit", (400, 8), ("fastntk", "botorch", "scikit_learn"), ("float64",)),
}


class Row(NamedTuple):
    """A line of the table."""

    case: str
    library: str
    dtype: str
    n: int
    first: float
    seconds: float
    ratio: tuple[float, float, float]
    bytes: int
    errors: tuple[float, ...]
    """Of samples that are apart, of alike ones; of a fit, of its likelihood."""
    likelihood: float | None = None
    """What a fit has reached, per sample."""


def cases(arguments: argparse.Namespace) -> Iterator[str]:
    """What users of fastntk and of its peers write for the same, each in a process of its own, in turn.

    Networks have three hidden layers, blocks or convolutions, of ReLU but for tanh; samples are normal, of n x d, or
    images. The gradient is that of the sum of all entries, in the samples; ours is computed in float64 always. GP fit:
    the marginal likelihood is maximised in all hyper-parameters, of the same NNGP of ReLU in fastntk and BoTorch.
    Seconds: median of three calls; the first call has what is compiled, without imports. Memory: the most that the
    process had beyond what it had with its imports, results included.
    Errors are those against 50 digits (`peer_truth.py`), the largest, relative to sqrt(K(x, x) K(x', x')) or to the
    largest entry of a gradient. Apart: of two independent samples. Alike: of a sample with itself and with others that
    are 1e-2, 1e-4 and 1e-6 of its norm away. Of a fit: of the log marginal likelihood that it reports, of 40 samples,
    relative to that in 50 digits at its hyper-parameters; scikit-learn adds 1e-10 to the diagonal, which is in it.
    Lines: of the files in peers/cases, without comments.
    """
    failed: list[str] = []
    rows = [row for case in CASES for row in measured(case, arguments, failed)]
    yield "| | n | dtype | | first call, s | s | over fastntk's | memory, MiB | error, apart | alike | lines |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        errors = [f"{error:.0e}" for error in row.errors] + [""] * (2 - len(row.errors))
        cells = (
            CASES[row.case].title, f"{row.n:,}", row.dtype, LIBRARIES[row.library][0], f"{row.first:.2g}",
            f"{row.seconds:.2g}", show_ratio(row.ratio), f"{row.bytes / 2**20:.0f}", *errors, str(lines_of(row)),
        )  # fmt: skip
        yield f"| {' | '.join(cells)} |"
    reached = ", ".join(
        f"{LIBRARIES[row.library][0]} {row.likelihood:.3f}" for row in rows if row.likelihood is not None
    )
    yield ""
    yield f"Log marginal likelihood per sample that the fits reach: {reached}."
    yield from failed
    if arguments.write:
        draw(rows)
        yield ""
        yield f"![Time, memory and errors of peers beside fastntk's]({FIGURE.name})"


def measured(case: str, arguments: argparse.Namespace, failed: list[str]) -> Iterator[Row]:
    """Measure a case, in each precision; what a library could not do is told."""
    title, samples, libraries, dtypes = CASES[case]
    n = min(samples[0], arguments.samples or samples[0])
    for dtype in dtypes:
        with tempfile.TemporaryDirectory() as folder:
            many, few = files(Path(folder), case, (n, *samples[1:]), dtype)
            peers = {library: start(case, library, dtype, arguments) for library in libraries}
            first: dict[str, float] = {}
            for library, peer in list(peers.items()):
                try:
                    first[library] = peer.seconds(arrays=many)
                except RuntimeError as error:  # of a library whose fit fails, say
                    failed.append(f"{title}, {dtype}, of {LIBRARIES[library][0]} ended with an error: {error}")
                    peers.pop(library).close()
            contenders: dict[str, Run] = {
                library: partial(peer.seconds, arrays=many) for library, peer in peers.items()
            }
            times = interleave(contenders, ROUNDS)
            for library, peer in peers.items():
                saved = str(Path(folder) / "result.npy")
                size = peer.ask(arrays=many, save=saved)["bytes"]
                reached = float(np.load(saved)[0]) / n if case == "fit" else None
                peer.ask(arrays=few, save=saved)
                found = errors(case, library, np.load(saved), few)
                seconds, ratio = times.median(library), times.ratio(library, "fastntk")
                yield Row(case, library, dtype, n, first[library], seconds, ratio, size, found, reached)
                peer.close()


def files(folder: Path, case: str, shape: tuple[int, ...], dtype: str) -> tuple[list[str], list[str]]:
    """Write the samples that are timed, and those that have a truth; a fit has targets too."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(dtype)
    arrays = {"x": x}
    if case == "fit":
        arrays["y"] = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * rng.normal(size=len(x))
        few = {name: array[:FEW] for name, array in arrays.items()}
    else:
        few = {"x": np.load(PEERS / "truth.npz")[f"{case}/x"].astype(dtype)}
    written: list[list[str]] = []
    for kind, named in (("many", arrays), ("few", few)):
        written.append([str(folder / f"{kind}-{name}.npy") for name in named])
        for path, array in zip(written[-1], named.values(), strict=True):
            np.save(path, array)
    return written[0], written[1]


def start(case: str, library: str, dtype: str, arguments: argparse.Namespace) -> Peer:
    """Start a library's own interpreter."""
    option = LIBRARIES[library][1]
    python = getattr(arguments, option) if option else sys.executable
    if python is None:
        raise SystemExit(f"cases needs --{option} PYTHON (peers/README.md).")
    precision = "1" if dtype == "float64" else "0"
    return Peer(f"{case}_{library}", python, PEERS / "user.py", JAX_ENABLE_X64=precision)


def errors(case: str, library: str, found: Array, few: list[str]) -> tuple[float, ...]:
    """Compare with 50 digits."""
    if case == "fit":
        x, y = (np.load(path) for path in few)
        truth = likelihood(x, y, library, found)
        return (float(abs((mpf(float(found[0])) - truth) / truth)),)
    exact = np.load(PEERS / "truth.npz")[f"{case}/truth"]
    if case == "gradient":
        error = np.abs(found - exact).max(axis=1) / np.abs(exact).max()
        return float(error[1]), float(error[[0, 2, 3, 4]].max())
    error = np.abs(found - exact) / np.sqrt(np.outer(exact.diagonal(), exact.diagonal()))
    alike = np.ix_([0, 2, 3, 4], [0, 2, 3, 4])
    return float(error[1, [0, 2, 3, 4]].max()), float(max(error[alike].max(), error[1, 1]))


def likelihood(x: Array, y: Array, library: str, found: Array) -> Any:
    """Log marginal likelihood at the hyper-parameters that a file of cases/ returns behind its own."""
    with mp.workdps(60):
        numbers = [mpf(float(number)) for number in found[1:]]
        if library == "scikit_learn":
            factor, length, noise = numbers
            rows = [[mpf(number) for number in row] for row in x.tolist()]
            squares = [[mp.fsum((a - b) ** 2 for a, b in zip(u, v, strict=True)) for u in rows] for v in rows]
            kernel = np.array([[mp.exp(-square / (2 * length**2)) for square in row] for row in squares])
        else:
            sigma_w, sigma_b, factor, noise = numbers
            kernel = exact_kernel(x, sigma_w, sigma_b)
        covariance = mp.matrix((factor * kernel + noise * np.eye(len(x), dtype=int)).tolist())
        lower, targets = mp.cholesky(covariance), mp.matrix(y.tolist())
        whitened = mp.lu_solve(lower, targets)
        logs = mp.fsum(mp.log(lower[i, i]) for i in range(len(x)))
        return -mp.fsum(z**2 for z in whitened) / 2 - logs - len(x) * mp.log(2 * mp.pi) / 2


def lines_of(row: Row) -> int:
    """Lines of a file that are neither empty nor comment nor docstring."""
    text = (FILES / f"{row.case}_{row.library}.py").read_text(encoding="utf-8")
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in blank
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(lines)


def draw(rows: list[Row]) -> None:
    """Draw time and memory over fastntk's, and the largest error, a line for each case and precision."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    groups = list(dict.fromkeys((row.case, row.dtype) for row in rows))
    ours = {(row.case, row.dtype): row for row in rows if row.library == "fastntk"}
    figure, panels = plt.subplots(1, 3, figsize=(10, 5), sharey=True, layout="constrained")
    for number, (library, (name, _)) in enumerate(LIBRARIES.items()):
        own = [row for row in rows if row.library == library]
        places = [groups.index((row.case, row.dtype)) for row in own]
        bases = [ours[row.case, row.dtype] for row in own]
        values = (
            [row.seconds / base.seconds for row, base in zip(own, bases, strict=True)],
            [row.bytes / base.bytes for row, base in zip(own, bases, strict=True)],
            [max(row.errors) for row in own],
        )
        for panel, numbers in zip(panels, values, strict=True):
            panel.plot(numbers, places, "osD^v"[number], color=f"C{number}", label=name, alpha=0.8)
    for panel, title in zip(panels, ("time, over fastntk's", "memory, over fastntk's", "largest error"), strict=True):
        panel.set(title=title, xscale="log")
        panel.grid(axis="y", alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    labels = [f"{CASES[case].title}, {dtype}" for case, dtype in groups]
    panels[0].set_yticks(range(len(groups)), labels)
    panels[0].invert_yaxis()
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(LIBRARIES), frameon=False
    )
    figure.savefig(FIGURE, dpi=120)
    plt.close(figure)


SECTIONS = {"cases": cases}


if __name__ == "__main__":
    run(
        "side_by_side", __doc__, SECTIONS,
        samples={"type": int, "help": "at most so many samples, as a trial"},
        jax={"type": str, "help": "Python of an environment with neural-tangents"},
        skntk={"type": str, "help": "Python of an environment with scikit-ntk, which has scikit-learn"},
        botorch={"type": str, "help": "Python of an environment with BoTorch"},
    )  # fmt: skip
