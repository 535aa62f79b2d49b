"""Every table of bench/README.md, docs/large.md and README.md in one run, so that no two are of different machines.

    python bench/all.py --list                      # which tables there are, and what of each is old
    python bench/all.py --mnist FOLDER --fashion FOLDER --scratch FOLDER --jax PYTHON --skntk PYTHON --botorch PYTHON
    python bench/all.py ... --again                 # those of this version and machine too

A table of this version of fastntk and this machine is not made again, so that a run which was stopped goes on. Some
eight hours with nothing else on the machine. Without one of the options, tables that need it are left out, and said to
be: the folders of MNIST and uci90.npz, of Fashion-MNIST, and one for 21 GB; Pythons with peers (peers/README.md).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from interleave import machine
from tables import LARGE, README, between

ROOT = Path(__file__).parents[1]


class Run(NamedTuple):
    """A command that writes the table `key`, its options as --NAME for those that only the user knows."""

    key: str
    command: str
    threads: int | None = None


def compared(*sections: str, rounds: int, peers: str = "") -> list[Run]:
    """Return the runs of sections of compare.py."""
    return [Run(key, f"bench/compare.py --only {key} --rounds {rounds}{peers}") for key in sections]


def sections(script: str, *names: str, options: str = "") -> list[Run]:
    """Return the runs of sections of a script."""
    return [Run(f"{script}-{name.split()[0]}", f"bench/{script}.py {name}{options}") for name in names]


PEERS = " --peer neural-tangents={jax} --peer scikit-ntk={skntk}"

#: The short ones first.
RUNS = [
    *compared("gram", "small", "memory", rounds=7),
    *compared("micro", "inputs", rounds=5),
    *compared("activations", "slow", rounds=3),
    *compared("depth", rounds=2),
    *compared("peers", "residual", rounds=5, peers=PEERS),
    *compared("numerical", rounds=2, peers=PEERS),
    *compared("fitting", rounds=7, peers=PEERS),
    *sections("roofline", "avx512", "avx2", "threads", "clustered"),
    Run("small_calls-profile", "bench/small_calls.py profile", threads=1),
    *sections("convolutional", "growth --rounds 3", "heads --rounds 3", "limit --rounds 2"),
    *sections("convolutional", "drawn --rounds 5", options=" --data {mnist}"),
    *sections("convolutional", "peers --rounds 5", options=" --peer {jax}"),
    *sections("mixing", "graphs --rounds 3", "sequences --rounds 2", "nodes --rounds 5", "memory"),
    *sections("mixing", "peers --rounds 3", options=" --peer {jax}"),
    *sections("surrogate", "candidate", "condition", "solves"),
    *sections("finite", "kernels", "fluctuation", "training", "speed"),
    *sections("classifier", "fit"),
    *sections("side_by_side", "cases", options=" --jax {jax} --skntk {skntk} --botorch {botorch}"),
    *sections("botorch_kernel", "speed", "errors", options=" --peer {botorch}"),
    Run("optimum", "bench/optimum.py --data {mnist}"),
    *sections("optimisation", "regret"),
    *sections("results", "probability"),
    *sections("results", "mnist", options=" --data {mnist}"),
    *sections("results", "fashion", options=" --data {fashion}"),
    *sections("large", "sizes", "images", "operator", "million", "dask"),
    *sections("large", "store", options=" --scratch {scratch}"),
    *sections("regression", "iterations", "features", options=" --data {mnist}"),
    *sections("regression", "flights"),
    *sections("regression", "fashion"),
    *sections("image_results", "digits"),
    *sections("image_results", "pooling", "mnist", options=" --data {mnist} --keep {scratch}"),
    *sections("image_results", "fashion", options=" --data {fashion} --keep {scratch}"),
    *sections("image_results", "labels --most 1000", options=" --data {mnist} --keep {scratch}"),
    *sections("image_results", "labels-fashion --most 1000", options=" --data {fashion} --keep {scratch}"),
    *sections("results", "uci", options=" --data {mnist} --keep {scratch}/uci.json"),
]


def is_new(key: str) -> bool:
    """Whether there is a table of this version and machine, with any instruction set and number of threads."""
    found = next((text for page in (README, LARGE) if (text := between(page.read_text(encoding="utf-8"), key))), "")
    model, _, rest = machine().partition(", instruction set ")
    return model in found and rest.partition("; ")[2] in found


def make(run: Run, known: dict[str, str | None]) -> str:
    """Make a table; say what became of it."""
    missing = [name for name, value in known.items() if value is None and f"{{{name}}}" in run.command]
    if missing:
        return f"left out: needs {', '.join(f'--{name}' for name in missing)}"
    words = [word.format(**known) for word in run.command.split()]
    environment = dict(os.environ) | ({"OMP_NUM_THREADS": str(run.threads)} if run.threads else {})
    ended = subprocess.run([sys.executable, *words, "--write"], cwd=ROOT, env=environment, check=False)
    return "made" if ended.returncode == 0 else f"failed with {ended.returncode}"


def main() -> None:
    """Make what is old, and then README's figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options = ("mnist", "fashion", "scratch", "jax", "skntk", "botorch")
    for name in options:
        parser.add_argument(f"--{name}")
    parser.add_argument("--again", action="store_true", help="tables of this version and machine too")
    parser.add_argument("--list", action="store_true", help="say which tables are old, and make none")
    arguments = parser.parse_args()
    old = {run: arguments.again or not is_new(run.key) for run in RUNS}
    if arguments.list:
        for run, is_old in old.items():
            print(f"{'old' if is_old else 'new'}  {run.key:26} python {run.command}")
        return
    became = {run.key: make(run, {name: getattr(arguments, name) for name in options}) for run in RUNS if old[run]}
    for script in ("bench/accuracy.py", "bench/summary.py"):
        became[script] = make(Run(script, script), {})
    for key, end in became.items():
        print(f"{key:26} {end}")
    sys.exit(any(end != "made" for end in became.values()))


if __name__ == "__main__":
    main()
