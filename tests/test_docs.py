"""What the README and docs/ say that one can write is executed as it is written: snippets of Python, each page from top
to bottom, with what they print; lines for a shell that begin with fastntk; networks and names within a sentence.

Not executed are commands that install, build and test, which are the stages of .ci/run; those of benchmarks, whose
scripts and words have to exist; what is written for other libraries, which bench/peers runs; and the diff of
CONTRIBUTING.md, whose lines have to be in the files that it names.
"""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk.__main__ import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("docs/howto/*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SNIPPET = re.compile(r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
#: Packages that only the stage of CI with PyTorch has, or none: elsewhere snippets that import them are left out.
HEAVY = {"torch", "gpytorch", "botorch", "datamol", "rdkit"}


@pytest.fixture(scope="module", autouse=True)
def heavy() -> None:
    """Import them first: what they warn of as they are imported is theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in filter(find_spec, sorted(HEAVY)):
            import_module(name)


def text_of(page: Path) -> str:
    """What a page says."""
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """A page without what is between fences."""
    return FENCE.sub("", text_of(page))


def spans(text: str) -> Iterator[tuple[str, str]]:
    """Each span of code, on one line, and what follows it in its sentence."""
    for found in SPAN.finditer(text):
        yield " ".join(found[1].split()), text[found.end() : found.end() + 80]


def snippets(page: Path) -> list[tuple[str, str | None]]:
    """The snippets of a page, moved down to their own lines, so that errors name those, and what each is to print."""
    text = text_of(page)
    return [("\n" * text.count("\n", 0, found.start(1)) + found[1], found[2]) for found in SNIPPET.finditer(text)]


def lacks(snippet: str) -> set[str]:
    """Heavy packages that a snippet imports, and that are not there."""
    imports = [node for node in ast.walk(ast.parse(snippet)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name.name for node in imports if isinstance(node, ast.Import) for name in node.names}
    names |= {str(node.module) for node in imports if isinstance(node, ast.ImportFrom)}
    return {part for name in names for part in name.split(".") if part in HEAVY and find_spec(part) is None}


def names(snippet: str) -> tuple[set[str], set[str]]:
    """What a snippet defines, and what it uses of others."""
    nodes = list(ast.walk(ast.parse(snippet)))
    defined = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    defined |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    defined |= {node.asname or node.name for node in nodes if isinstance(node, ast.alias)}
    return defined, {node.id for node in nodes if isinstance(node, ast.Name)} - defined


@pytest.mark.parametrize("page", [page for page in PAGES if snippets(page)], ids=lambda page: page.stem)
def test_snippets_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader who pastes them one after the other, in an empty folder, gets no error and no warning."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    left_out: set[str] = set()  # what snippets define that cannot run here
    for snippet, printed in snippets(page):
        defined, used = names(snippet)
        if lacks(snippet) or used & left_out - namespace.keys():
            left_out |= defined
            continue
        exec(compile(snippet, str(page), "exec"), namespace)
        seen = capsys.readouterr().out
        if printed is not None:
            assert seen == printed
    if len(namespace) == 1:
        pytest.skip("needs PyTorch, which no other stage has")


def test_fences_are_known() -> None:
    """Of Python, of what it prints, or of Sphinx: another language would be executed by nobody."""
    kinds = {found[1] for page in PAGES for found in FENCE.finditer(text_of(page))}
    assert kinds <= {"python", "text", ""}
    for page in PAGES:  # what is printed stands behind what prints it
        assert text_of(page).count("\n```text\n") == sum(printed is not None for _, printed in snippets(page)), page


def commands(page: Path) -> list[str]:
    """Lines for a shell that say all: with more than the name of what fastntk is to do."""
    found = re.findall(r"(?:`(fastntk \w+ [^`]+)`|^    (fastntk \w+ .+)$)", prose(page), re.MULTILINE)
    lines = [" ".join((span or line).split()) for span, line in found]
    return [line for line in lines if not line.startswith("fastntk demo")]  # tests/test_demo.py


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.stem)
def test_commands_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, in a folder with the files that they name."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = (6, 6, 6, 1) if page.stem == "images_and_sequences" else (30, 4)
    np.save("X.npy", rng.normal(size=rows))
    np.save("X_test.npy", rng.normal(size=(5, *rows[1:])))
    np.save("y.npy", rng.normal(size=rows[0]))
    np.savez("X.npz", values=rng.normal(size=(6, 4)), lengths=[3, 1, 2])
    for line in commands(page):
        arguments = shlex.split(line)[1:]
        if "--help" in arguments:
            with pytest.raises(SystemExit, match=r"^0$"):
                main(arguments)
        else:
            assert main(arguments) == 0, line


def test_scripts_are_there() -> None:
    """Every `python folder/script.py words` names a file, and words that it knows."""
    lines = [
        found
        for page in (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "bench/README.md")
        for found in re.findall(r"`(?:python )?((?:bench|docs|examples|tests|cpp)/[\w/]+\.py)( [^`]*)?`", text_of(page))
    ]
    assert len(lines) > 50
    for script, words in set(lines):
        source = (ROOT / script).read_text(encoding="utf-8")
        for word in re.findall(r"(?<= )(?:--)?[a-z]\w*(?= |$)", words):
            assert re.search(rf"\b{word.removeprefix('--')}\b", source), f"{script} {word}"


def written() -> Iterator[tuple[Path, str, str]]:
    """Spans that name something of fastntk. What is first in a row of a table of another library is of that one."""
    public = {*fastntk.__all__, "fastntk"} - {"kernels", "__version__"}
    for page in PAGES:
        text = prose(page)
        if page.stem.startswith("from_"):
            text = re.sub(r"^\|.*\| (.*) \|$", r"\1", text, flags=re.MULTILINE)
        for span, rest in spans(text):
            if re.split(r"\W", span, maxsplit=1)[0] in public:
                yield page, span, rest


def refused(page: Path) -> set[str]:
    """What a table says is refused: cells of its first column that are nothing but code."""
    table = (re.search(r"^\| refused \|.*?\n\n", text_of(page), re.MULTILINE | re.DOTALL) or [""])[0]
    cells = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \|", table, re.MULTILINE)
    return {span for cell in cells for span, _ in spans(cell)}


def test_networks_within_sentences() -> None:
    """Names are there; a call with all its arguments makes a network, unless the page says that it is refused."""
    known: dict[str, Any] = {name: getattr(fastntk, name) for name in fastntk.__all__} | {"fastntk": fastntk, "np": np}
    made = 0
    for page, span, rest in written():
        name = re.match(r"[\w.]+", span)[0]  # type: ignore[index]
        if lacks(f"import {name}"):
            continue
        eval(name, dict(known))
        try:
            tree = ast.parse(span, mode="eval")
        except SyntaxError:  # a command, or a call with arguments to fill in
            continue
        unknown = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - known.keys() - {"range"}
        if unknown or "..." in span:
            continue
        if re.search(r"\bis\s+refused(?! as a kernel)", rest) or span in refused(page):
            with pytest.raises((ValueError, TypeError)):
                eval(span, dict(known))
        else:
            eval(span, dict(known))
            made += 1
    assert made > 250


def test_rooms_of_the_guide_exist() -> None:
    """Every room and file that CONTRIBUTING sends a newcomer to is there."""
    text = text_of(ROOT / "CONTRIBUTING.md")
    table = text[text.index("| a question |") : text.index("Imports go one way")]
    places = [name for row in table.splitlines()[2:] if row for name in re.findall(r"`([^`]+)`", row.split("|")[2])]
    assert len(places) > 20
    assert not [name for name in places if not ((ROOT / "python/fastntk" / name).exists() or (ROOT / name).exists())]


def test_lines_of_the_guide_are_in_the_code() -> None:
    """The activation that CONTRIBUTING shows as an example is what the code has."""
    diff = re.findall(r"^```diff\n(.*?)^```$", text_of(ROOT / "CONTRIBUTING.md"), re.MULTILINE | re.DOTALL)[0]
    files = re.findall(r"^--- (\S+)\n((?:\+.*\n)+)", diff, re.MULTILINE)
    assert sum(lines.count("\n") + 1 for _, lines in files) == diff.count("\n")
    for file, lines in files:
        there = text_of(ROOT / file).splitlines()
        assert not [line for line in lines.splitlines() if line[1:] not in there], file
