"""What the networks of side_by_side.py give for a few samples, in 50 digits: writes `peers/truth.npz`.

Regenerate (a quarter of an hour on two cores, the same bytes every time) with

    PYTHONPATH=. python bench/peer_truth.py

By the recursions of `tests/data` and of `botorch_kernel.py` in 120-digit arithmetic, at least 50 digits of them
correct, for the exact values of the samples, rounded once to the nearest float64; no code is shared with fastntk. With
gmpy2 mpmath takes less than half of the time. Contents of the file, for each case:

`{case}/x`, float32 ndarray of shape (5, ...)
    Samples: one, another one, and three that are so far from the first, relative to its norm, as `NEAR` says.
`{case}/truth`, float64 ndarray
    The kernel of the samples, or the derivative of the sum of its entries in the samples.
"""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import mp
from numpy.typing import NDArray
from tests.data import make_image_tables, make_tree_tables, tree_duals
from tests.data.tree_networks import Layer, act, dense, residual

from botorch_kernel import exact_derivative, exact_kernel

Array = NDArray[Any]

# Of the quadrature of tanh: as many as of closed forms.
tree_duals.DIGITS = 50

NEAR = (1e-2, 1e-4, 1e-6)
SIGMA_W = 2**0.5

FLAT = [dense(SIGMA_W), *[act("relu"), dense(SIGMA_W)] * 3]
TANH = [dense(1.5, 0.1), *[act("tanh"), dense(1.5, 0.1)] * 3]
BLOCKS = [dense(SIGMA_W, 0.1), *[residual(act("relu"), dense(SIGMA_W, 0.1))] * 3, dense(SIGMA_W, 0.1)]
CONVOLUTIONS = [("Conv", [], {"kernel_size": 3, "sigma_w": SIGMA_W, "sigma_b": 0.0}), act("relu")] * 3


def samples(*shape: int) -> Array:
    """Normal samples of a shape, numbers of float32."""
    x = np.random.default_rng(0).normal(size=(2 + len(NEAR), *shape))
    for place, distance in enumerate(NEAR, 2):
        x[place] *= distance * np.linalg.norm(x[0]) / np.linalg.norm(x[place])
        x[place] += x[0]
    return x.astype(np.float32)


def of_vectors(layers: list[Layer]) -> Callable[[Array], Array]:
    """NTK of a network of vectors."""

    def truth(x: Array) -> Array:
        pairs = [(p, q, p == q) for p in range(len(x)) for q in range(p, len(x))]
        K = {(p, q, same): mp.fdot(x[p].tolist(), x[q].tolist()) / x.shape[1] for p, q, same in pairs}
        start = make_tree_tables.State(K, dict.fromkeys(K, 0), dict.fromkeys(range(len(x)), 0), x.shape[1])
        theta = make_tree_tables.chain(layers, start).Theta
        return np.array([[float(theta[min(p, q), max(p, q), p == q]) for q in range(len(x))] for p in range(len(x))])

    return truth


def of_images(head: str) -> Callable[[Array], Array]:
    """NTK of convolutions and a head."""

    def truth(x: Array) -> Array:
        layers = [*CONVOLUTIONS, (head, [], {}), dense(SIGMA_W)]
        theta = make_image_tables.chain(layers, make_image_tables.start(x.astype(np.float64))).Theta
        places = range(len(x))
        return np.array([[float(theta((p, ()), (q, ()), p == q)) for q in places] for p in places])

    return truth


#: Of each case the shape of a sample, and the truth of some.
CASES: dict[str, tuple[tuple[int, ...], Callable[[Array], Array]]] = {
    "tanh": ((16,), of_vectors(TANH)),
    "cnn_pooled": ((8, 8, 1), of_images("GlobalAvgPool")),
    "cnn_flatten": ((16, 16, 1), of_images("Flatten")),
    "mlp": ((64,), of_vectors(FLAT)),
    "nngp": ((20,), lambda x: exact_kernel(x).astype(float)),
    "resmlp": ((64,), of_vectors(BLOCKS)),
    "gradient": ((20,), lambda x: exact_derivative(x).astype(float)),
}


def table(case: str) -> dict[str, Array]:
    """Samples of a case and their truth."""
    shape, truth = CASES[case]
    x = samples(*shape)
    with mp.workdps(120):
        return {f"{case}/x": x, f"{case}/truth": truth(x)}


def main() -> None:
    """Write the file."""
    arrays: dict[str, Any] = {}
    with Pool(2) as pool:
        for found in pool.imap_unordered(table, CASES):
            print(*found, flush=True)
            arrays |= found
    path = Path(__file__).parent / "peers" / "truth.npz"
    np.savez_compressed(path, **{key: arrays[key] for key in sorted(arrays)})


if __name__ == "__main__":
    main()
