"""Bits over numbers of threads, and numbers of threads that make no sense."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import fastntk
from fastntk.activations.registry import REGISTRY

#: Parameters of the activations that need some.
PARAMETERS: dict[str, dict[str, object]] = {
    "polynomial": {"coefficients": [0.3, 1.0, -0.2]},
    "monomial": {"degree": 3},
    "hermite": {"degree": 4},
    "rectified_monomial": {"degree": 2},
    "abrelu": {"a": -0.5, "b": 1.2},
}

#: Digests of what every entry point gives: random networks on random data, of sizes that tiles do not divide.
DIGESTS = """
    import hashlib, json, sys, warnings
    import numpy as np
    import fastntk

    warnings.simplefilter("ignore", fastntk.ToleranceWarning)

    def digest(*arrays):
        return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:16]

    digests = {}
    for name, parameters in json.loads(sys.stdin.read()).items():
        rng = np.random.default_rng(list(name.encode()))
        act = fastntk.Activation(name, **parameters)
        slow = name in {"hard_tanh", "hard_sigmoid", "hard_swish", "relu6", "soft_shrink", "hard_shrink"}
        for trial in range(2):
            net = fastntk.mlp(int(rng.integers(1, 3)), act, 1.1, 0.1 * trial)
            n, m = (int(k) for k in rng.integers(1, 100 if slow else (500, 200)[trial], size=2))
            d, dtype, square = int(rng.choice([2, 7, 200])), rng.choice(["float32", "float64"]), rng.random() < 0.6
            X, Y = (0.4 * rng.normal(size=(k, d)).astype(dtype) for k in (n, m))
            Y = None if square else Y
            m = n if square else m
            V, U, G = rng.normal(size=(m, 3)), rng.normal(size=(n, 2)), rng.normal(size=(n, m))
            A = net.ntk.operator(X, Y)
            case = f"{name} trial {trial}"
            digests[case, "kernels"] = digest(*net.kernels(X, Y))
            digests[case, "alone"] = digest(net.nngp(X, Y), net.ntk(X, Y, univariate=False))
            digests[case, "diagonal"] = digest(net.nngp.diag(X), net.ntk.diag(X))
            digests[case, "products"] = digest(A @ V, A.T @ U, A @ V[:, 0], A.block([0, n - 1], [m - 1]))
            small = slice(None, 90)
            weights = G[small, small]
            try:
                digests[case, "gradient"] = digest(*net.ntk.value_and_gradient(X[small], shared=True))
                digests[case, "vjp"] = digest(net.ntk.vjp(X[small], weights, None if Y is None else Y[small]))
            except (ValueError, NotImplementedError) as error:
                digests[case, "gradient"] = str(error)
    print(json.dumps({" ".join(key): value for key, value in digests.items()}))
"""


def run(code: str, given: str = "", **environment: str) -> str:
    """What Python prints that runs `code`, and ends well."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={key: value for key, value in os.environ.items() if not key.startswith("OMP_")} | environment,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout


def test_bits_of_every_activation() -> None:
    """And every entry point: one thread and seven, which also are BLAS's."""
    cases = json.dumps({name: PARAMETERS.get(name, {}) for name in REGISTRY})
    digests = [json.loads(run(DIGESTS, cases, OMP_NUM_THREADS=threads)) for threads in ("1", "7")]
    assert len(digests[0]) > 9 * len(REGISTRY)
    assert [key for key in digests[0] if len({digest[key] for digest in digests}) > 1] == []


def test_store_goes_on_with_another_number_of_threads(tmp_path: Path) -> None:
    """Begun with one thread and resumed with two it has the bits of one."""
    code = """
        import sys, numpy as np, fastntk
        path, stop = sys.argv[1], float(sys.argv[2])

        def progress(fraction):
            if fraction > stop:
                sys.exit()

        X = np.random.default_rng(0).normal(size=(400, 5))
        net = fastntk.mlp(2, "tanh", 1.2, 0.1)
        K = fastntk.store.compute(net, X, path, chunk=150, resume=True, progress=progress)
        print(K[:].tobytes().hex())
    """
    store = "import sys; sys.argv[1:] = {}\n"
    whole, mixed = str(tmp_path / "whole"), str(tmp_path / "mixed")
    code = textwrap.dedent(code)
    expected = run(store.format([whole, "2"]) + code, OMP_NUM_THREADS="1")
    assert run(store.format([mixed, "0.4"]) + code, OMP_NUM_THREADS="1") == ""
    done, chunks = fastntk.store.count(mixed)
    assert 0 < done < chunks
    assert run(store.format([mixed, "2"]) + code, OMP_NUM_THREADS="2") == expected


KERNELS = """
    import hashlib, numpy as np, fastntk
    X = np.random.default_rng(0).normal(size=(700, 20))
    net = fastntk.mlp(3, "erf", 1.4, 0.1)
    A, G = net.ntk.operator(X), np.outer(X[:, 0], X[:, 1])
    results = [*net.kernels(X), A @ np.ones(700), net.ntk.vjp(X, G), net.ntk.gradient(X[:300], shared=True)]
    print(hashlib.sha256(b"".join(np.ascontiguousarray(r).tobytes() for r in results)).hexdigest())
    print(fastntk.config()["threads"])
"""


def test_any_number_of_threads() -> None:
    """Far too many, nonsense, fewer than were asked for: the same bits, with a number of threads that makes sense."""
    expected, one = run(KERNELS, OMP_NUM_THREADS="1").split()
    assert one == "1"
    for environment in (
        {"OMP_NUM_THREADS": "100000"},
        {"OMP_NUM_THREADS": "-3"},
        {"OMP_NUM_THREADS": "many"},
        {"OMP_NUM_THREADS": "8", "OMP_THREAD_LIMIT": "2"},
        {"OMP_NUM_THREADS": "8", "OMP_DYNAMIC": "true"},
        {"OMP_NUM_THREADS": "3,2", "OMP_MAX_ACTIVE_LEVELS": "2"},
    ):
        digest, threads = run(KERNELS, **environment).split()
        assert digest == expected, environment
        assert 1 <= int(threads) <= max(16, 4 * (os.cpu_count() or 1))
