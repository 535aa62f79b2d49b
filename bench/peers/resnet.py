"""Compare a script for neural-tangents with its translation by docs/from_neural_tangents.md.

    python bench/peers/resnet.py PYTHON    # of an environment with neural-tangents, README.md

Runs `resnet_neural_tangents.py` and `resnet_fastntk.py`, each as a user does, and prints the largest difference of
everything that they save, relative to its largest entry. Ends with an error if one is above 1e-6.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MOST = 1e-6
HERE = Path(__file__).parent


def main() -> None:
    """Run both, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="interpreter of an environment with neural-tangents")
    with tempfile.TemporaryDirectory() as folder:
        saved = []
        for name, python in (("neural_tangents", parser.parse_args().python), ("fastntk", sys.executable)):
            script, path = HERE / f"resnet_{name}.py", Path(folder, f"{name}.npz")
            lines = sum(1 for line in script.read_text(encoding="utf-8").splitlines() if line.strip())
            start = time.perf_counter()
            environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"} | os.environ
            subprocess.run([python, "-W", "ignore", script, path], check=True, env=environment)
            print(f"{script.name}: {lines} lines, {time.perf_counter() - start:.1f} s with imports and compilation")
            with np.load(path) as arrays:
                saved.append(dict(arrays))
    theirs, ours = saved
    worst = 0.0
    for name in theirs:
        difference = float(abs(ours[name] - theirs[name]).max() / abs(theirs[name]).max())
        worst = max(worst, difference)
        print(f"{name:<22}{theirs[name].shape!s:<12}{difference:.1e}")
    if not worst <= MOST:
        raise SystemExit(f"the translation is wrong: {worst:.1e} is above {MOST:.0e}.")


if __name__ == "__main__":
    main()
