"""The tables of bench/README.md, each between its markers."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).with_name("README.md")


def write_table(key: str, text: str) -> None:
    """Put a table in place of the one with that key, or at the end."""
    begin, end = f"<!-- begin {key} -->", f"<!-- end {key} -->"
    before, found, rest = README.read_text(encoding="utf-8").partition(begin)
    after = rest.split(end)[1] if found else "\n"
    before = before if found else before.rstrip("\n") + "\n\n"
    README.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
