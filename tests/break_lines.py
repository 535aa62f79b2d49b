"""Do the tests see a wrong line? Breaks lines one at a time, and reports those that no test sees.

    coverage run -m pytest && coverage combine                   # which tests run which line of Python
    python tests/break_lines.py                                  # 30 lines of the core, an hour or two on two cores
    python tests/break_lines.py cpp/isa --count 10 --seed 1      # others
    python tests/break_lines.py python/fastntk/store --tests tests/test_store.py tests/test_store_damage.py
    python tests/break_lines.py --folder /tmp/broken --first 12  # go on from the twelfth, in the copy of the run before

One operator, number or word of a line is replaced by another, in a copy of the checkout with an environment of its own.
A line of Python is shown to the tests that run it, as `.coverage` knows them (to all, if only what they start does);
a line of C++ to all, first to those that saw others, compiled for one instruction set, that of this machine.
Some of what no test sees is no fault: the other line means the same, or is only slower. Exits with 1 if there is any.
"""

from __future__ import annotations

import argparse
import ast
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

from coverage import CoverageData

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
        words = (t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.string in OTHER and is_meant(t))
        return [Break(path, t.start[0] - 1, t.start[1], t.string) for t in words]
    found = []
    for number, line in enumerate(text.splitlines()):
        if line.lstrip().startswith(("#", "//", "template", "static_assert", "using")) or '"' in line:
            continue
        code = line.partition("//")[0]
        found += [Break(path, number, match.start(), match[0]) for match in CPP_WORDS.finditer(code)]
    return found


def is_meant(word: tokenize.TokenInfo) -> bool:
    """Whether something is computed with it: no import, no star that unpacks, not what is strict for who wrote it."""
    unpacks = word.string == "*" and word.line[word.end[1]] != " "
    return not (unpacks or "import" in word.line or word.line[: word.start[1]].endswith("strict="))


class Tests:
    """Which tests are shown a line, and in which order."""

    def __init__(self, given: list[str]) -> None:
        self._given = given
        self._sharp: list[str] = []  # files of tests that saw a line, the last first
        self._data = CoverageData(str(ROOT / ".coverage"))
        self._data.read()

    def of(self, found: Break) -> list[str] | None:
        """Return files or tests, in the order to run them; None where no test comes by."""
        if self._given:
            return self._given
        if found.path.suffix == ".py":
            contexts = self._contexts(found)
            if not contexts:
                return None
            near = found.path.stem.split("_")
            tests = sorted(contexts - {""}, key=lambda name: (not any(word in name for word in near), name))
            if tests:
                return [f"{'/'.join(name.split('.')[:2])}.py::{'::'.join(name.split('.')[2:])}" for name in tests]
        files = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").glob("test_*.py"))]
        return [*self._sharp, *(name for name in files if name not in self._sharp)]

    def saw(self, test: str) -> None:
        """Let the file of this test come first from now on."""
        name = test.partition("::")[0]
        self._sharp = [name, *(other for other in self._sharp if other != name)]

    def _contexts(self, found: Break) -> set[str]:
        """Tests that run the statement; an empty name for imports, and for processes that tests start."""
        path, measured = ROOT / found.path, ROOT / ".coverage"
        if not measured.exists() or path.stat().st_mtime > measured.stat().st_mtime:
            raise SystemExit(f"{found.path} is newer than .coverage: coverage run -m pytest && coverage combine")
        line, known = found.line + 1, self._data.contexts_by_lineno(str(path))
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        lines = min((span for node in tree if isinstance(node, ast.stmt) and line in (span := head_of(node))), key=len)
        return {name for number in lines for name in known.get(number, [])}


def head_of(statement: ast.stmt) -> range:
    """Lines of a statement, without those inside it, and with its decorators."""
    inside = getattr(statement, "body", [])
    begins = [one.lineno for one in (statement, *getattr(statement, "decorator_list", []))]
    return range(min(begins), inside[0].lineno if inside else (statement.end_lineno or statement.lineno) + 1)


class Copy:
    """A copy of the checkout, installed from where it is in an environment of its own, and what was compiled."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self._build = folder / "build"
        self.python = str(folder / "venv" / "bin" / "python")
        tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in tracked.splitlines():
            self.restore(Path(name))
        if not Path(self.python).exists():
            venv.create(folder / "venv", with_pip=True)
            self._pip("scikit-build-core", "pybind11", "cmake", "ninja")
        if not self.install("[test]"):
            raise SystemExit("The checkout as it is does not compile.")

    def restore(self, path: Path) -> None:
        """Make a file what it is in the checkout; one that is has its time left alone, for the compiler's sake."""
        there = self.root / path
        if not there.exists() or there.read_bytes() != (ROOT / path).read_bytes():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, there)

    def install(self, extras: str = "") -> bool:
        """Compile what is there now; False where that is no program."""
        one_set = ("CMAKE_SYSTEM_NAME=Linux", "CMAKE_SYSTEM_PROCESSOR=native", "CMAKE_CXX_FLAGS=-march=native")
        cache = ["CMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        defines = [f"-Ccmake.define.{define}" for define in (*one_set, *cache)]
        options = ["--no-build-isolation", f"-Cbuild-dir={self._build}", *defines, *([] if extras else ["--no-deps"])]
        return self._pip(*options, "-e", f".{extras}")

    def seen_by(self, tests: list[str]) -> str | None:
        """Return the first test that fails, or None."""
        command = [self.python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        try:
            ran = subprocess.run(command, cwd=self.root, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return "a test that hangs"
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", ran.stdout, re.MULTILINE)
        return None if ran.returncode == 0 else failed[1] if failed else "the start of the tests"

    def _pip(self, *what: str) -> bool:
        command = [self.python, "-m", "pip", "install", "-q", *what]
        return subprocess.run(command, cwd=self.root, capture_output=True, check=False).returncode == 0


def main() -> int:
    """Break lines, and tell which test sees each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", default=CORE, help="files or folders, from the root of the checkout")
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=1, help="begin with this one of them")
    parser.add_argument("--tests", nargs="+", default=[], help="files or tests, in place of those that run a line")
    parser.add_argument("--folder", type=Path, help="where the copy is kept; a temporary one by itself")
    arguments = parser.parse_args()
    places = [ROOT / place for place in arguments.places]
    paths = sorted(
        p for at in places for p in ([at] if at.is_file() else at.rglob("*")) if p.suffix in (".py", ".cpp", ".hpp")
    )
    every = [found for path in paths for found in breaks_of(path.relative_to(ROOT))]
    chosen = random.Random(arguments.seed).sample(every, min(arguments.count, len(every)))[arguments.first - 1 :]
    tests = Tests(arguments.tests)
    unseen = 0
    with tempfile.TemporaryDirectory() as name:
        copy = Copy(arguments.folder or Path(name))
        for number, found in enumerate(chosen, arguments.first):
            what = found.apply(copy.root)
            seen = look(copy, tests, found)
            unseen += seen is None
            print(f"{number}. {what}\n    seen by {seen or 'NO TEST'}", flush=True)
            copy.restore(found.path)
    print(f"{len(chosen) - unseen} of {len(chosen)} broken lines were seen.")
    return int(unseen > 0)


def look(copy: Copy, tests: Tests, found: Break) -> str | None:
    """Return what sees a broken line: a test, the compiler, or nothing."""
    if found.path.suffix != ".py" and not copy.install():
        return "the compiler"
    shown = tests.of(found)
    seen = copy.seen_by(shown) if shown else None
    if seen:
        tests.saw(seen)
    return seen


if __name__ == "__main__":
    sys.exit(main())
