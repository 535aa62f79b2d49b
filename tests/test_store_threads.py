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
net = fastntk.mlp(2, sys.argv[2], 1.4, 0.2)
fastntk.store.compute(net, X, sys.argv[1], chunk=50)
"""


@pytest.mark.parametrize("activation", ["relu", "tanh", "elu"])
def test_threads(tmp_path: Path, activation: str) -> None:
    """Has the bits of one that was made at once."""

    def run(name: str, threads: int) -> dict[Path, bytes]:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, "-c", WORKER, str(tmp_path / name), activation]
        subprocess.run(command, check=True, env=environment)
        return {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).glob("c/*/*")}

    at_once = run("at once", 2)
    run("begun", 1)
    for chunk in ("c/0/2", "c/1/1", "c/2/0"):
        (tmp_path / "begun" / chunk).unlink()
    assert run("begun", 2) == at_once
