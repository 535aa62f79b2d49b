"""The oldest version of every dependency that pyproject.toml allows, as constraints for pip."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = [one for extra in project["optional-dependencies"].values() for one in extra]
for requirement in [*project["dependencies"], *extras]:
    if floor := re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", requirement):
        print(f"{floor[1]}=={floor[2]}")
