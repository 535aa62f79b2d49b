"""The tables of bench/README.md and docs/large.md, each between its markers."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).with_name("README.md")
LARGE = Path(__file__).parents[1] / "docs" / "large.md"


def publish(key: str, docstring: str, lines: list[str], *, write: bool, page: Path = README) -> None:
    """Print a table under the docstring of what made it, and put it into a page if asked to."""
    title, _, more = docstring.replace("\n    ", "\n").strip().partition("\n")
    text = "\n".join([f"### {title}", more, *([""] if more else []), *lines])
    print(text)
    if write:
        write_table(key, text, page)


def write_table(key: str, text: str, page: Path = README) -> None:
    """Put a table in place of the one with that key, or at the end."""
    begin, end = f"<!-- begin {key} -->", f"<!-- end {key} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    after = rest.split(end)[1] if found else "\n"
    before = before if found else before.rstrip("\n") + "\n\n"
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
