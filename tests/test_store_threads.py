"""A store begun with one number of threads and finished with another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("zarr")

WORKER = """
import sys, numpy as np, fastntk
X = np.random.default_rng(0).normal(size=(150, 6))
for activation in ("relu", "tanh", "elu"):
    fastntk.store.compute(fastntk.mlp(2, activation, 1.4, 0.2), X, f"{sys.argv[1]}/{activation}", chunk=50)
"""


def test_threads(tmp_path: Path) -> None:
    """Has the bits of one that was made at once: of a closed form, an expansion and one of pieces."""

    def run(name: str, threads: int) -> dict[Path, bytes]:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, "-c", WORKER, str(tmp_path / name)]
        subprocess.run(command, check=True, env=environment)
        return {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).glob("*/c/*/*")}

    at_once = run("at once", 2)
    run("begun", 1)
    for chunk in (
        tmp_path / "begun" / net / "c" / ij for net in ("relu", "tanh", "elu") for ij in ("0/2", "1/1", "2/0")
    ):
        chunk.unlink()
    assert run("begun", 2) == at_once
