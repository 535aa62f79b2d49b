"""The accuracy of every kernel against the 50-digit tables of the tests, as a table.

    python bench/accuracy.py          # prints it
    python bench/accuracy.py --write  # puts it into README.md

Errors are |computed - true| / sqrt(k_pp k_qq), the largest over all pairs: near-duplicates at separations 1e-1 to
1e-10, exact duplicates, antipodes and nearly so, collinear rows, norms 1e-3 to 1e3 (and 1e-150 to 1e150), a zero row.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

import fastntk
from interleave import machine
from tables import write_table

ROOT = Path(__file__).parents[1]
TABLES = ROOT / "tests" / "data" / "kernel_tables.npz"


def main(write: bool) -> None:
    """Print one line per activation, and put them into README if asked to."""
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
    lines = [f"`python bench/accuracy.py`: {machine()}", ""]
    lines += ["| activation | NNGP float64 | NTK float64 | NNGP float32 | NTK float32 |", "|---|---|---|---|---|"]
    for name, errors in worst.items():
        columns = [errors[dtype, kind] for dtype in ("float64", "float32") for kind in ("nngp", "ntk")]
        lines.append(f"| `{name}` | " + " | ".join(f"{error:.1e}" for error in columns) + " |")
    print("\n".join(lines))
    if write:
        write_table("accuracy", "\n".join(lines), ROOT / "README.md")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put it into README.md")
    main(parser.parse_args().write)
