"""What `numpy.seterr` says outside changes nothing inside: no error where numbers underflow, and no bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk import finite, inference, solvers
from fastntk.activations.registry import REGISTRY

#: Parameters of the activations that need some.
PARAMETERS: dict[str, dict[str, object]] = {
    "polynomial": {"coefficients": [0.3, 1.0, -0.2]},
    "monomial": {"degree": 3},
    "hermite": {"degree": 4},
    "abrelu": {"a": -0.5, "b": 1.2},
}

#: Every activation, through every door of a network, on rows of very different size, duplicates and antipodes.
DIGESTS = """
    import hashlib, json, sys, warnings
    import numpy as np
    import fastntk

    np.seterr(all=sys.argv[1])
    warnings.simplefilter("ignore", fastntk.ToleranceWarning)
    warnings.filterwarnings("ignore", ".* jumps, and some inputs are nearly the same")

    def digest(*arrays):
        return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:16]

    X = np.random.default_rng(0).normal(size=(9, 3))
    for i, row in enumerate((0 * X[3], X[5], -X[6], 1e-160 * X[7], 1e-5 * X[8])):
        X[i] = row
    z = np.array([0, 1e-320, -1e-200, 1e-3, -1.0, 30.0, -40.0, 300.0])
    c, q = np.array([0.0, 0.5, -1.0, 1e-300]), np.array([1.0, 1.0, 1.0, 1e-300])

    digests = {}
    for name, parameters in json.loads(sys.stdin.read()).items():
        act = fastntk.Activation(name, **parameters)
        net = fastntk.mlp(1, act, 0.9, 0.05)
        A = net.ntk.operator(X)
        doors = {
            "float64": lambda: net.kernels(X),
            "float32": lambda: net.kernels(X, dtype="float32"),
            "with Y": lambda: [net.ntk(X[:4], X[4:])],
            "diagonal": lambda: (net.nngp.diag(X), net.ntk.diag(X)),
            "products": lambda: (A @ np.ones(9), A @ np.full((9, 2), 1e-200), A.block([0, 1], [2])),
            "dual": lambda: (act.dual(c, q, q), act.dual_derivative(c, q, q)),
            "bound": lambda: [act.error_bound(q, q)],
        }
        if name != "exp_normalized":
            doors |= {
                "function": lambda: (act(z[:-1] if "exp" in name else z), act.derivative(z[:-1])),
                "reference": lambda: [fastntk.reference.ntk(net, X)],
                "fluctuation": lambda: [net.nngp.fluctuation(X[3:], 100)],
            }
        if type(act._dual).__name__ != "PiecewisePolynomial":
            doors["gradient"] = lambda: (*net.ntk.value_and_gradient(X), net.nngp.vjp(X, np.ones((9, 9))))
        for door, call in doors.items():
            try:
                digests[f"{name} {door}"] = digest(*call())
            except FloatingPointError as error:
                digests[f"{name} {door}"] = f"{sys.argv[1]}: {error}"
            except ValueError as error:  # of what is not to be had
                digests[f"{name} {door}"] = str(error)
    print(json.dumps(digests))
"""


def test_every_activation() -> None:
    """The same bits through every door, whether NumPy is to raise or to ignore."""
    cases = json.dumps({name: PARAMETERS.get(name, {}) for name in REGISTRY})
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error::RuntimeWarning", "-c", textwrap.dedent(DIGESTS), setting],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for setting in ("raise", "ignore")
    ]
    digests = []
    for process in processes:
        output, errors = process.communicate(cases, timeout=120)
        assert process.returncode == 0, errors
        digests.append(json.loads(output))
    assert len(digests[0]) > 10 * len(REGISTRY)
    assert [key for key in digests[0] if digests[0][key] != digests[1][key]] == []
    assert sum(len(digest) != 16 for digest in digests[0].values()) < 10


X = np.random.default_rng(0).normal(size=(30, 3))
X[5] = X[6] + 1e-9
y = np.sin(X[:, 0])
NET = fastntk.mlp(2, "relu", 1.3, 0.1)
K, T = NET.kernels(X)
KT, TT = NET.kernels(X[:7] + 0.1, X)
FLOW = inference.GradientFlow(T, y)
CLASSES = np.eye(2)[np.arange(30) % 2]
COST = inference.CrossEntropy(CLASSES)


def gaussian_bump(x: Any) -> Any:
    """An activation of a user, whose tails underflow."""
    return np.exp(-(x**2))


USES: dict[str, Callable[[], Any]] = {
    "a callable": lambda: fastntk.mlp(2, gaussian_bump).ntk(X),
    "flow at once": lambda: FLOW.mean(1e-300, TT),
    "flow": lambda: FLOW.mean([1.0, 1e3, 1e300, np.inf], TT),
    "flow of trained samples": lambda: FLOW.mean([1e-300, 1e3]),
    "loss": lambda: FLOW.loss([1e-300, 1e4]),
    "functional flow": lambda: (
        inference.functional_flow(T, COST.gradient, [0.0, 1e4], f0_train=np.zeros((30, 2))).train
    ),
    "cross-entropy": lambda: (COST(1e3 * CLASSES), COST.gradient(1e3 * CLASSES)),
    "conjugate gradients": lambda: solvers.pcg(NET.ntk.operator(X, ridge=0.1), 1e-160 * y, rng=0).x,
    "landmarks": lambda: solvers.nystrom(NET, X, y, landmarks=10, rng=0).predict(X[:3]),
    "finite": lambda: finite.FiniteNetwork(NET, 3, 10, rng=0).forward(1e-170 * X),
}


@pytest.mark.parametrize("name", USES)
def test_what_kernels_are_for(name: str) -> None:
    """Works, and gives the same numbers."""
    with np.errstate(all="raise"):
        result = USES[name]()
    with np.errstate(all="ignore"):
        expected = USES[name]()
    np.testing.assert_equal(result, expected)


def test_settings_are_left_alone() -> None:
    """Those of the caller, after a call and after an error."""
    with np.errstate(all="raise", under="call", call=lambda *_: None):
        before = np.geterr()
        fastntk.mlp(2, "tanh").ntk(X)
        with pytest.raises(ValueError, match=r"^X contains nan"):
            NET.ntk(X * np.nan)
        assert np.geterr() == before
