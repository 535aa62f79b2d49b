"""Every Python snippet of the README and of docs/ runs as it is written, each page from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Pages of the site that are files from elsewhere begin with their include.
PAGES = [
    path
    for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))
    if not path.read_text(encoding="utf-8").startswith("```{include}")
]


def snippets(page: Path) -> list[str]:
    """The snippets of a page, each moved down to its own lines, so that errors name lines of the page."""
    text = page.read_text(encoding="utf-8")
    return [
        "\n" * text.count("\n", 0, found.start(1)) + found[1]
        for found in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who pastes them one after the other, in an empty folder, gets no error and no warning."""
    monkeypatch.chdir(tmp_path)
    code = snippets(page)
    assert code
    if any("import torch\n" in snippet for snippet in code):
        pytest.importorskip("torch", reason="needs PyTorch, which no other stage has")
    namespace: dict[str, object] = {"__name__": "__main__"}
    for snippet in code:
        exec(compile(snippet, str(page), "exec"), namespace)


def test_rooms_of_the_guide_exist() -> None:
    """Every room and file that CONTRIBUTING sends a newcomer to is there."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("| a question |") : text.index("Imports go one way")]
    places = [name for row in table.splitlines()[2:] if row for name in re.findall(r"`([^`]+)`", row.split("|")[2])]
    assert len(places) > 20
    assert not [name for name in places if not ((ROOT / "python/fastntk" / name).exists() or (ROOT / name).exists())]
