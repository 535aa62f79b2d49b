"""README's figures are those of the tables that the benchmarks wrote."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_readme_has_the_figures_of_the_tables() -> None:
    """Else: python bench/summary.py --write."""
    made = subprocess.run([sys.executable, ROOT / "bench" / "summary.py"], capture_output=True, text=True, check=True)
    speed, data = made.stdout.strip().split("\n\n")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert speed.count("\n") > 10
    assert data.count("\n") > 3
    assert speed in readme
    assert data in readme
