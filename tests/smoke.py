"""Whether an installed fastntk works, with nothing but what it depends on: ``python tests/smoke.py``.

For wheels, on machines without a compiler and without pytest.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import os
import subprocess
import sys
from threading import Barrier, Thread
from typing import Any

import numpy as np

import fastntk
from fastntk import reference

#: Seconds that a process may take.
PATIENCE = 300


def check_version() -> None:
    """The core, the metadata and the command line say one."""
    version = importlib.metadata.version("fastntk")
    said = subprocess.run(
        [sys.executable, "-m", "fastntk", "--version"], check=True, capture_output=True, text=True, timeout=PATIENCE
    ).stdout
    assert fastntk.__version__ == version
    assert said.strip() == f"fastntk {version}"


def check_truth() -> None:
    """One hidden ReLU layer and two samples at 60 degrees: Cho and Saul's formula, by hand."""
    X = np.array([[2.0, 0.0], [1.5, 1.5 * math.sqrt(3.0)]])  # of norms 2 and 3
    angle, lengths = math.pi / 3, 2 * 3 / 2
    share = (math.pi - angle) / math.pi
    nngp = 2 * lengths * (math.sin(angle) / math.pi + share * math.cos(angle))
    ntk = nngp + lengths * math.cos(angle) * 2 * share
    for dtype, digits in (("float64", 1e-15), ("float32", 3e-7)):
        found = fastntk.mlp(1, "relu", sigma_w=2**0.5).kernels(X, dtype=dtype)
        assert abs(found.nngp[0, 1] / nngp - 1) < digits
        assert abs(found.ntk[0, 1] / ntk - 1) < digits


def networks() -> dict[str, tuple[fastntk.Sequential, Any]]:
    """One with a closed form, one with an expansion and one of images, and samples for each."""
    rng = np.random.default_rng(0)
    rows, images = rng.normal(size=(300, 8)), rng.random((12, 6, 6, 3))
    return {
        "relu": (fastntk.mlp(3, "relu", 2**0.5, 0.1), rows),
        "tanh": (fastntk.mlp(2, "tanh", 1.5, 0.1), rows),
        "images": (fastntk.cnn(2, "relu", 2**0.5), images),
    }


def check_reference() -> None:
    """The core against plain NumPy."""
    for name, (net, X) in networks().items():
        tolerance = 2e-10 if name == "tanh" else 1e-14
        for found, wanted in zip(net.kernels(X[:12]), reference.kernels(net, X[:12], nodes=400), strict=True):
            assert np.abs(found - wanted).max() < tolerance * wanted.max(), name


def digest(name: str) -> str:
    """Of both kernels."""
    net, X = networks()[name]
    return hashlib.sha256(b"".join(kernel.tobytes() for kernel in net.kernels(X))).hexdigest()


def check_threads() -> None:
    """The same bits for one thread and for three of OpenMP, and from several of Python that begin at once."""
    code = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); import smoke; smoke.say()"
    said = []
    for threads in ("1", "3"):
        environment = os.environ | {"OMP_NUM_THREADS": threads}
        said.append(
            subprocess.run(
                [sys.executable, "-c", code],
                check=True,
                capture_output=True,
                text=True,
                env=environment,
                timeout=PATIENCE,
            ).stdout.split()
        )
    assert [one[0] for one in said] == ["1", "3"]
    wanted = said[0][1:]
    assert said[1][1:] == wanted
    found: list[str] = []
    begin = Barrier(4)

    def work() -> None:
        begin.wait()
        found.append(" ".join(map(digest, networks())))

    workers = [Thread(target=work) for _ in range(begin.parties)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [" ".join(wanted)] * begin.parties


def say() -> None:
    """How many threads there are, and digests."""
    print(fastntk.config()["threads"], *map(digest, networks()))


def check_gil() -> None:
    """Python without a global lock stays so: a module that is not made for that would have turned it on."""
    is_enabled = getattr(sys, "_is_gil_enabled", lambda: True)
    without = "free-threading" in sys.version
    assert is_enabled() != without


if __name__ == "__main__":
    for check in (check_gil, check_version, check_truth, check_reference, check_threads):
        check()
        print(f"{check.__name__}: well")
    print(fastntk.__file__, fastntk.config())
