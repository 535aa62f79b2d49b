"""README's figures on speed and real data, read from the tables that the benchmarks wrote.

    python bench/summary.py          # prints them
    python bench/summary.py --write  # puts them into README.md, between its markers

No figure of README.md is typed: each is a cell of a table of bench/README.md or docs/large.md, and beside it is the
command that makes that table and the machine it ran on. A test compares README.md with what this prints.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tables import LARGE, README, between, write_table

ROOT = Path(__file__).parents[1]


class Table(NamedTuple):
    """A table as a benchmark wrote it: its lines of cells without those of its head, its command and its machine."""

    rows: list[list[str]]
    text: str
    command: str
    machine: str

    def cell(self, *of_row: str, column: int) -> str:
        """Return a cell, without what is in brackets, of the row that begins so."""
        (row,) = (row for row in self.rows if tuple(row[: len(of_row)]) == of_row)
        return row[column].split(" (")[0]

    def column(self, column: int, *beginnings: str) -> list[float]:
        """Return the numbers of a column, of the rows that begin with one of those words, or of all."""
        rows = [row for row in self.rows if not beginnings or row[0].strip("`") in beginnings]
        return [float(row[column].split(" (")[0]) for row in rows]


def table(key: str) -> Table:
    """Read the table with that key."""
    text = next(found for page in (README, LARGE) if (found := between(page.read_text(encoding="utf-8"), key)))
    lines = text.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")]
    made = next(
        match for line in lines if (match := re.match(r"`(python [^`]*)`: (.*?), (\d+ cores), .*? set (\w+)", line))
    )
    return Table(rows[2:], text, made[1], ", ".join(made.groups()[1:]))


def span(numbers: list[float]) -> str:
    """From the least to the largest, to two digits."""
    return " to ".join(dict.fromkeys(f"{number:.2g}" for number in (min(numbers), max(numbers))))


def gram(dtype: str) -> Callable[[Table], str]:
    """Ratios at each number of features."""
    return lambda t: ", ".join(t.cell(dtype, d, column=4) for d in ("16", "64", "784"))


def both(contender: str) -> Callable[[Table], str]:
    """What a peer takes, in both precisions."""
    return lambda t: ", ".join(f"{t.cell(dtype, contender, column=3)} ×" for dtype in ("float32", "float64"))


def per_thread(t: Table) -> str:
    """Share of the speed of BLAS in both precisions."""
    return "; ".join(span(t.column(4, dtype)) for dtype in ("float32", "float64"))


def over_relu(*names: str) -> Callable[[Table], str]:
    """What activations take, in both precisions."""
    return lambda t: "; ".join(span(t.column(column, *names)) for column in (1, 2))


def pairs_of(network: str) -> Callable[[Table], str]:
    """What neural-tangents takes with its faster runtime."""

    def found(t: Table) -> str:
        (row,) = (row for row in t.rows if row[0] == network and row[3] == "older runtime")
        return f"{row[8].split(' (')[0]} ×"

    return found


def regression(depth: str) -> Callable[[Table], str]:
    """NNGP and NTK of a depth."""
    return lambda t: ", ".join(t.cell(depth, kernel, column=2) for kernel in ("NNGP", "NTK"))


def solved(t: Table) -> str:
    """Exactly and by iteration: time and memory."""
    by = "Cholesky in place", "conjugate gradients to 1e-4"
    return "; ".join(", ".join(t.cell("ntk", solver, column=column) for column in (4, 5)) for solver in by)


#: Of each figure what it is, the key of its table, and what of that it is.
SPEED: list[tuple[str, str, Callable[[Table], str]]] = [
    ("NTK of 3 hidden ReLU layers, n = 8192, over NumPy's `X @ X.T`, d = 16, 64, 784, float32", "gram",
     gram("float32")),
    ("the same in float64", "gram", gram("float64")),
    ("the same kernel, n = 4096, d = 64: neural-tangents (jitted, warm) takes, in float32 and float64", "peers",
     both("neural-tangents")),
    ("scikit-ntk takes", "peers", both("scikit-ntk")),
    ("5 convolutions on 28x28, Flatten: neural-tangents takes", "convolutional-peers",
     pairs_of("5 convolutions, Flatten")),
    ("3 convolutions on 14x14, global pool", "convolutional-peers", pairs_of("3 convolutions, GlobalAvgPool")),
    ("inner products on one thread, d from 64 to 3072, speed over BLAS's, float32; float64", "micro", per_thread),
    ("memory beyond input and result, n = 20,000, d = 784, MiB, float32, float64", "memory",
     lambda t: ", ".join(t.cell(dtype, "784", column=2) for dtype in ("float32", "float64"))),
    ("both kernels of 3 layers, n = 4,096, d = 784, over ReLU's time, float32; float64: `gelu`", "activations",
     over_relu("gelu")),
    ("`tanh`, `sigmoid`, `silu`, `mish`, to 1e-6", "activations", over_relu("tanh", "sigmoid", "silu", "mish")),
    ("`elu`, `selu`, `softsign`, to 1e-6", "activations", over_relu("elu", "selu", "softsign")),
    ("`hard_tanh`", "activations", over_relu("hard_tanh")),
    ("50 hidden layers over one, networks of the angle alone, n = 4096", "depth", lambda t: span(t.column(4))),
    ("ten samples, depth 3, without and with bias", "small",
     lambda t: ", ".join(row[1] for row in t.rows if "n = 10" in row[0] and "bias" in row[0])),
    ("`import fastntk` beyond NumPy's own import", "small", lambda t: t.rows[-1][1]),
    ("marginal likelihood with gradient in σ and noise, n = 2,000, ReLU, depth 3; scikit-learn's RBF takes", "fitting",
     lambda t: f"{t.cell('NNGP, relu, depth 3', column=1)}; {t.cell('NNGP, relu, depth 3', column=2)} ×"),
    ("NTK of 50,000 images to disk, 10 GB; peak memory beyond data", "large-store",
     lambda t: ", ".join(row[1].split(",")[0] for row in t.rows[:1]) + f"; {t.rows[1][1]}"),
    ("60,000 images, exact: Cholesky in place; conjugate gradients", "regression-fashion", solved),
    ("1,000,000 rows over 4,000 landmarks", "large-million",
     lambda t: ", ".join(t.cell("1,000,000", "4,000", "1 GiB", column=column) for column in (3, 4))),
    ("product with a kernel of n = 100,000 that is never stored, over the kernel's own time per pair", "large-operator",
     lambda t: span(t.column(4))),
]  # fmt: skip

DATA: list[tuple[str, str, Callable[[Table], str]]] = [
    ("MNIST, 5,000 → 10,000 images, depth 3, NNGP, NTK", "results-mnist", regression("3")),
    ("Fashion-MNIST, 10,000 → 10,000 images, depth 3", "results-fashion", regression("3")),
    ("Fashion-MNIST, 60,000 → 10,000 images, depth 3", "regression-fashion",
     lambda t: ", ".join(t.cell(kernel, "Cholesky in place", column=2) for kernel in ("nngp", "ntk"))),
    ("MNIST, 5,000 → 10,000 images, ResNet-32 without pooling", "image_results-mnist",
     lambda t: ", ".join(t.cell("ResNet-32", column=column) for column in (1, 2))),
    ("digits, 1,000 → 797 images, 5 convolutions and `GlobalAvgPool`", "image_results-digits",
     lambda t: ", ".join(t.cell("`GlobalAvgPool()`", column=column) for column in (1, 2))),
    ("mean of the 90 UCI sets of Arora et al. (2020), support vector machine on the NTK (published: about 82 %)",
     "results-uci", lambda t: re.findall(r"90 sets ([\d.]+ %)", t.text)[0]),
]  # fmt: skip


def lines(figures: list[tuple[str, str, Callable[[Table], str]]]) -> list[str]:
    """One line for each figure, with what makes it and where it was made."""
    found = [(what, table(key), figure) for what, key, figure in figures]
    of_one = "| what | figure | command |", "|---|---|---|"
    rows = [
        f"| {what} | {figure(t)} | `{t.command.removeprefix('python ')}`, {t.machine} |" for what, t, figure in found
    ]
    return [*of_one, *rows]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put them into README.md")
    write = parser.parse_args().write
    for key, figures in (("speed", SPEED), ("data", DATA)):
        text = "\n".join(lines(figures))
        print(text, end="\n\n")
        if write:
            write_table(key, text, ROOT / "README.md")
