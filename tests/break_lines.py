"""Do the tests see a wrong line? Breaks lines one at a time, and reports those that no test sees.

    python tests/break_lines.py                                  # 30 lines of the core, an hour or two on two cores
    python tests/break_lines.py cpp/isa --count 10 --seed 1      # others
    python tests/break_lines.py python/fastntk/store --tests tests/test_store.py tests/test_store_damage.py

One operator, number or word of a line is replaced by another, in a copy of the checkout with an environment of its own.
Some of what no test sees is no fault: the other line means the same, or is only slower. Exits with 1 if there is any.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import shutil
import subprocess
import sys
import tempfile
import tokenize
import venv
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
CORE = (
    "cpp/core",
    "cpp/isa",
    *(f"python/fastntk/{room}" for room in ("activations", "inference", "kernels", "layers", "solvers")),
)

#: What is put in place of what.
OTHER = {
    "+": "-", "-": "+", "*": "/", "/": "*", "<": ">", ">": "<", "<=": ">", ">=": "<", "==": "!=", "!=": "==",
    "and": "or", "or": "and", "&&": "||", "||": "&&", "True": "False", "False": "True",
    "true": "false", "false": "true", "min": "max", "max": "min", "0": "1", "1": "2", "2": "3", "0.5": "0.25",
}  # fmt: skip

#: Of C++: its words, with spaces around binary operators, as clang-format leaves them.
CPP_WORDS = re.compile(
    r"(?<= )(?:[-+*/<>]|[<>=!]=|&&|\|\|)(?= )|\b(?:true|false|min|max|0\.5)\b|(?<![\w.])[012](?![\w.'])"
)

#: Beyond this a test hangs: the line is seen.
SECONDS = 1800


class Break(NamedTuple):
    """A word of a line, and what is put in its place."""

    path: Path
    line: int
    column: int
    word: str

    def apply(self, root: Path) -> str:
        """Write the file with the other word; return the line before and after."""
        lines = (ROOT / self.path).read_text(encoding="utf-8").splitlines(keepends=True)
        old = lines[self.line]
        new = old[: self.column] + OTHER[self.word] + old[self.column + len(self.word) :]
        lines[self.line] = new
        (root / self.path).write_text("".join(lines), encoding="utf-8")
        return f"{self.path}:{self.line + 1}: {old.strip()}  ->  {new.strip()}"


def breaks_of(path: Path) -> list[Break]:
    """All that can be broken in a file: no comments, no strings, no imports, no template's or preprocessor's lines."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.suffix == ".py":
        words = (t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.string in OTHER)
        return [Break(path, t.start[0] - 1, t.start[1], t.string) for t in words if "import" not in t.line]
    found = []
    for number, line in enumerate(text.splitlines()):
        if line.lstrip().startswith(("#", "//", "template", "static_assert", "using")) or '"' in line:
            continue
        code = line.partition("//")[0]
        found += [Break(path, number, match.start(), match[0]) for match in CPP_WORDS.finditer(code)]
    return found


class Copy:
    """A copy of the checkout, compiled and installed in an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in tracked.splitlines():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.root / name)
        venv.create(folder / "venv", with_pip=True)
        self.python = str(folder / "venv" / "bin" / "python")
        self._pip("scikit-build-core", "pybind11", "cmake", "ninja")
        self._pip("--no-build-isolation", f"-Cbuild-dir={folder / 'build'}", ".[test]")

    def _pip(self, *what: str) -> None:
        subprocess.run([self.python, "-m", "pip", "install", "-q", *what], cwd=self.root, check=True)

    def install(self, build: Path) -> bool:
        """Compile and install what is there now; False where that is no program."""
        command = [self.python, "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", "--no-build-isolation"]
        made = subprocess.run([*command, f"-Cbuild-dir={build}", "."], cwd=self.root, capture_output=True, check=False)
        return made.returncode == 0

    def seen_by(self, tests: list[str]) -> str | None:
        """Return the first test that fails, or None."""
        command = [self.python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        try:
            ran = subprocess.run(command, cwd=self.root, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return "a test that hangs"
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", ran.stdout, re.MULTILINE)
        return None if ran.returncode == 0 else failed[1] if failed else "the start of the tests"


def main() -> int:
    """Break lines, and tell which test sees each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", default=CORE, help="files or folders, from the root of the checkout")
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tests", nargs="+", default=[], help="the whole suite by itself")
    arguments = parser.parse_args()
    places = [ROOT / place for place in arguments.places]
    paths = sorted(
        p for at in places for p in ([at] if at.is_file() else at.rglob("*")) if p.suffix in (".py", ".cpp", ".hpp")
    )
    every = [found for path in paths for found in breaks_of(path.relative_to(ROOT))]
    chosen = random.Random(arguments.seed).sample(every, min(arguments.count, len(every)))
    unseen = 0
    with tempfile.TemporaryDirectory() as name:
        copy = Copy(Path(name))
        if (seen := copy.seen_by(arguments.tests)) is not None:
            print(f"Without a broken line {seen} fails.")
            return 2
        for found in chosen:
            what = found.apply(copy.root)
            seen = copy.seen_by(arguments.tests) if copy.install(Path(name) / "build") else "the compiler"
            unseen += seen is None
            print(f"{what}\n    seen by {seen or 'NO TEST'}", flush=True)
            shutil.copy(ROOT / found.path, copy.root / found.path)
    print(f"{len(chosen) - unseen} of {len(chosen)} broken lines were seen.")
    return int(unseen > 0)


if __name__ == "__main__":
    sys.exit(main())
