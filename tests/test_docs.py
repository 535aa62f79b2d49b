"""Every Python snippet of the README and of docs/ runs as it is written, each page from top to bottom, and prints what
the page says that it prints.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    path
    for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("docs/howto/*.md")))
    if "```py" in path.read_text(encoding="utf-8")
]
SNIPPET = re.compile(r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def snippets(page: Path) -> list[tuple[str, str | None]]:
    """The snippets of a page, moved down to their own lines, so that errors name those, and what each is to print."""
    text = page.read_text(encoding="utf-8")
    return [("\n" * text.count("\n", 0, found.start(1)) + found[1], found[2]) for found in SNIPPET.finditer(text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_snippets_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader who pastes them one after the other, in an empty folder, gets no error and no warning."""
    monkeypatch.chdir(tmp_path)
    code = snippets(page)
    assert code
    if any("import torch\n" in snippet for snippet, _ in code):
        pytest.importorskip("torch", reason="needs PyTorch, which no other stage has")
    namespace: dict[str, object] = {"__name__": "__main__"}
    for snippet, printed in code:
        exec(compile(snippet, str(page), "exec"), namespace)
        seen = capsys.readouterr().out
        if printed is not None:
            assert seen == printed


def test_rooms_of_the_guide_exist() -> None:
    """Every room and file that CONTRIBUTING sends a newcomer to is there."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("| a question |") : text.index("Imports go one way")]
    places = [name for row in table.splitlines()[2:] if row for name in re.findall(r"`([^`]+)`", row.split("|")[2])]
    assert len(places) > 20
    assert not [name for name in places if not ((ROOT / "python/fastntk" / name).exists() or (ROOT / name).exists())]
