"""No rows, on either side or on both: an empty result, or a sentence. Never a signal: all of it is in subprocesses."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SETUP = """
    import sys
    import numpy as np
    import fastntk

    X = np.random.default_rng(0).normal(size=(5, 3))
    E, e = np.empty((0, 3)), np.empty(0)

    def sentence(call, part):
        try:
            call()
        except ValueError as error:
            assert part in str(error), error
            return
        raise AssertionError("no error")
"""

#: For networks `net`, of all kinds of ops.
KERNELS = """
    for net in (fastntk.mlp(depth, act, 1.3, 0.1) for act in ACTIVATIONS for depth in (1, 3)):
        parameters = len(net) + 1
        for A, B in ((E, None), (E, E), (E, X), (X, E)):
            n, m = len(A), len(A if B is None else B)
            for dtype in ("float32", "float64"):
                for progress in (False, True, lambda fraction: None):
                    for kernel in (net.nngp, net.ntk):
                        K = kernel(A, B, dtype=dtype, progress=progress)
                        assert K.shape == (n, m) and K.dtype == dtype
                assert [K.shape for K in net.kernels(A, B, dtype=dtype)] == [(n, m)] * 2
                assert net.nngp.diag(A, dtype=dtype).shape == net.ntk.diag(A, dtype=dtype).shape == (n,)
            out = np.empty((n, m))
            assert net.ntk(A, B, out=out) is out
            for progress in (False, lambda fraction: None):
                if "hard" in repr(net):
                    continue
                K, slopes = net.ntk.value_and_gradient(A, B, progress=progress)
                assert K.shape == (n, m) and slopes.shape == (parameters, n, m)
                for vjp in (net.nngp.vjp, net.ntk.vjp):
                    assert (vjp(A, np.empty((n, m)), B, progress=progress) == np.zeros(parameters)).all()
        for A, B in ((E, None), (E, E), (E, X), (X, E), (X, None), (X, X)):
            n, m = len(A), len(A if B is None else B)
            for kind in ("nngp", "ntk"):
                operator = getattr(net, kind).operator(A, B, ridge=0.5 if B is None else 0.0)
                for width in (1, 2, 0):
                    V, U = np.ones((m, width)), np.ones((n, width))
                    assert (operator @ V).shape == (n, width) and (operator.T @ U).shape == (m, width)
                    if not (n and m):
                        assert (operator @ V == 0).all() and (operator.T @ U == 0).all()
                assert (operator @ np.ones(m)).shape == (n,)
                assert operator.rmatvec(np.ones(n)).shape == (m,)
                assert operator.block([], []).shape == (0, 0)
                assert operator.block(slice(None), []).shape == (n, 0)
                assert operator.block([], slice(None)).shape == (0, m)
                assert operator.block(slice(0, 0), slice(None)).shape == (0, m)
                if B is None:
                    assert operator.diagonal().shape == (n,)
        assert fastntk.reference.ntk(net, E, X).shape == (0, 5)
        assert net.nngp.fluctuation(E, 100).shape == (0, 0)
    act = fastntk.Activation("elu")
    assert act(e).shape == act.derivative(e).shape == (0,)
    assert act.dual(e, e, e).shape == act.dual_derivative(e, e, e).shape == (0,)
"""

FILES = """
    zarr = __import__("zarr")
    net, folder = fastntk.mlp(2, "tanh", 1.3, 0.1), sys.argv[1]
    for i, (A, B) in enumerate(((E, None), (E, X), (X, E))):
        n, m = len(A), len(A if B is None else B)
        chunked = zarr.create_array({}, shape=(n, m), chunks=(max(n, 1), max(m, 1)), dtype="f8")
        assert net.ntk(A, B, out=chunked) is chunked
        if np.lib.NumpyVersion(np.__version__) >= "2.1.0":  # before, no file can be empty
            mapped = np.memmap(f"{folder}/map {i}", np.float64, "w+", shape=(n, m))
            assert net.ntk(A, B, out=mapped) is mapped
        for half in (False, True) if B is None else (False,):
            store = fastntk.store.compute(net, A, f"{folder}/store {i} {half}", Y=B, half=half)
            assert store[:].shape == (n, m)
            assert fastntk.store.open(f"{folder}/store {i} {half}").shape == (n, m)
"""

DASK = """
    import dask, dask.array as da, fastntk.dask

    net = fastntk.mlp(2, "tanh", 1.3, 0.1)

    def rows(*chunks):
        return da.concatenate([da.from_array(X[:k], chunks=(max(k, 1), 3)) for k in chunks])

    for left in ((0,), (0, 0), (0, 4), (4, 0), (2, 0, 3)):
        for right in (None, (0, 0), (0, 3), (0, 0, 2)):
            A, B = rows(*left), None if right is None else rows(*right)
            n, m = sum(left), sum(left if right is None else right)
            K, T = dask.compute(*fastntk.dask.kernels(net, A, B))
            expected = net.kernels(A.compute(), None if B is None else B.compute())
            assert np.allclose(K, expected.nngp, rtol=1e-9) and np.allclose(T, expected.ntk, rtol=1e-9)
            assert K.shape == T.shape == (n, m)
            operator = fastntk.dask.operator(net, A, B)
            assert np.allclose(operator @ np.ones(m), expected.ntk.sum(axis=1))
            assert np.allclose(operator.T @ np.ones(n), expected.ntk.sum(axis=0))
            assert operator.block([], []).shape == (0, 0)
            if B is None:
                assert operator.diagonal().shape == (n,)
    sentence(lambda: fastntk.dask.nystrom(net, rows(0, 0), e, landmarks=2), "there are no rows to fit")
    assert fastntk.dask.nystrom(net, rows(5, 0), X[:, 0], landmarks=2).predict(E).shape == (0,)
"""

INFERENCE = """
    from fastntk.inference import GradientFlow, gp_posterior, log_marginal_likelihood
    from fastntk.solvers import cholesky, nystrom, pcg

    net, y = fastntk.mlp(2, "relu", 1.3, 0.1), X[:, 0]
    no_rows, none = net.ntk(E), "is empty: at least one sample is needed"
    sentence(lambda: gp_posterior(no_rows, e, net.ntk(X, E), net.ntk(X), noise=0.1), none)
    sentence(lambda: log_marginal_likelihood(no_rows, e, noise=0.1), none)
    sentence(lambda: GradientFlow(no_rows, e), none)
    assert GradientFlow(net.ntk(X), y).mean(np.inf, net.ntk(E, X)).shape == (0,)
    sentence(lambda: cholesky(no_rows, e), "empty")
    sentence(lambda: pcg(no_rows, e), "not empty")
    sentence(lambda: pcg(net.ntk.operator(E), e), "not empty")
    sentence(lambda: nystrom(net, E, e, landmarks=2), "there are no rows to fit")
    assert nystrom(net, X, y, landmarks=2).predict(E).shape == (0,)
"""

SKLEARN = """
    import fastntk.sklearn as estimators

    y = X[:, 0]
    for name in (
        "NNGPRegressor", "NTKRegressor", "NystromNTKRegressor",
        "NNGPClassifier", "NTKClassifier", "NystromNTKClassifier",
    ):
        targets = y > 0 if "Classifier" in name else y
        sentence(lambda: getattr(estimators, name)().fit(E, e), "0 sample(s)")
        sentence(lambda: getattr(estimators, name)().fit(X, targets).predict(E), "0 sample(s)")
    sentence(lambda: estimators.NTKFeatures().fit(X).transform(E), "0 sample(s)")
    for kernel in (estimators.NNGPKernel(), estimators.NTKKernel()):
        assert kernel(E).shape == (0, 0) and kernel(E, X).shape == (0, 5) and kernel(X, E).shape == (5, 0)
        assert kernel.diag(E).shape == (0,)
        assert kernel(E, eval_gradient=True)[1].shape[:2] == (0, 0)
"""

CASES = {
    "closed forms": ('ACTIVATIONS = ("relu", "erf", "sin", "step")' + KERNELS, ()),
    "tables": ('ACTIVATIONS = ("tanh", "hard_tanh")' + KERNELS, ()),
    "files": (FILES, ("zarr",)),
    "dask": (DASK, ("dask",)),
    "inference": (INFERENCE, ("scipy",)),
    "scikit-learn": (SKLEARN, ("sklearn",)),
}


@pytest.mark.parametrize("name", CASES)
def test_no_rows(tmp_path: Path, name: str) -> None:
    """Of every entry point."""
    code, modules = CASES[name]
    for module in modules:
        pytest.importorskip(module)
    setup, (head, _, body) = textwrap.dedent(SETUP), code.partition("\n")
    whole = "\n".join((setup, head, textwrap.dedent(body)))
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", whole, tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr or f"signal {-done.returncode}"
