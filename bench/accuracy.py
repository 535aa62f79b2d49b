"""The accuracy of every kernel against the 50-digit tables of the tests, as a table.

    python bench/accuracy.py

Errors are |computed - true| / sqrt(k_pp k_qq), the largest over all pairs: near-duplicates at separations 1e-1 to
1e-10, exact duplicates, antipodes and nearly so, collinear rows, norms 1e-3 to 1e3 (and 1e-150 to 1e150), a zero row.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np

import fastntk

TABLES = Path(__file__).parents[1] / "tests" / "data" / "kernel_tables.npz"


def main() -> None:
    """Print one line per activation."""
    tables = np.load(TABLES)
    worst: dict[str, dict[tuple[str, str], float]] = defaultdict(lambda: defaultdict(float))
    for case in json.loads(str(tables["networks"])):
        activation = fastntk.Activation(case["activation"], **case["parameters"])
        x = tables[f"{case['set']}/X"][case["rows"]]
        for depth in case["depths"]:
            jump = activation.name in ("step", "sign") or dict(activation.parameters).get("degree") == 0
            if jump and depth > 1:
                continue  # ill-conditioned: every layer maps a gap to its square root
            net = fastntk.mlp(depth, activation, case["sigma_w"], case["sigma_b"])
            for kind, kernel in net.kernels(x)._asdict().items():
                truth = np.zeros(kernel.shape)
                truth[np.triu_indices(len(x))] = tables[f"{case['prefix']}/{depth}/{kind}"]
                truth += np.triu(truth, 1).T
                scale = np.sqrt(np.diag(truth))
                with np.errstate(invalid="ignore", divide="ignore"):
                    error = np.abs(kernel.astype(np.float64) - truth) / np.outer(scale, scale)
                key = (x.dtype.name, kind)
                name = repr(activation)
                worst[name][key] = max(worst[name][key], float(np.nanmax(error)))
    print("| activation | NNGP float64 | NTK float64 | NNGP float32 | NTK float32 |")
    print("|---|---|---|---|---|")
    for name, errors in worst.items():
        columns = [errors[dtype, kind] for dtype in ("float64", "float32") for kind in ("nngp", "ntk")]
        print(f"| `{name}` | " + " | ".join(f"{error:.1e}" for error in columns) + " |")


if __name__ == "__main__":
    main()
