"""The tables of bench/README.md and docs/large.md, each between its markers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from interleave import machine

README = Path(__file__).with_name("README.md")
LARGE = Path(__file__).parents[1] / "docs" / "large.md"


Section = Callable[[argparse.Namespace], Iterable[str]]


def run(script: str, doc: str | None, sections: Mapping[str, Section], page: Path = README, **options: Any) -> None:
    """Read the command line of a script, run the section it asks for, print its table, and write it if asked to.

    Options are those of the parser by name; numbers without a default are shown in the command above the table.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=sections)
    for name, option in options.items():
        parser.add_argument(f"--{name}", **option)
    parser.add_argument("--write", action="store_true", help=f"put the table into {page.parent.name}/{page.name}")
    arguments = parser.parse_args()
    numbers = [name for name, option in options.items() if option["type"] is int and "default" not in option]
    shown = [f" --{name} {value}" for name in numbers if (value := getattr(arguments, name)) is not None]
    section = sections[arguments.section]
    command = f"python bench/{script}.py {arguments.section}{''.join(shown)}"
    lines = [f"`{command}`: {machine()}", "", *section(arguments)]
    publish(f"{script}-{arguments.section}", section.__doc__ or "", lines, write=arguments.write, page=page)


def publish(key: str, docstring: str, lines: list[str], *, write: bool, page: Path = README) -> None:
    """Print a table under the docstring of what made it, and put it into a page if asked to."""
    title, _, more = docstring.replace("\n    ", "\n").strip().partition("\n")
    text = "\n".join([f"### {title}", more, *([""] if more else []), *lines])
    print(text)
    if write:
        write_table(key, text, page)


def markers(key: str) -> tuple[str, str]:
    """What stands before a table and behind it."""
    return f"<!-- begin {key} -->", f"<!-- end {key} -->"


def between(page: str, key: str) -> str | None:
    """Return the table with that key in the text of a page, or None where there is none."""
    begin, end = markers(key)
    _, found, rest = page.partition(begin)
    return rest.split(end)[0].strip("\n") if found else None


def write_table(key: str, text: str, page: Path = README) -> None:
    """Put a table in place of the one with that key, or at the end."""
    begin, end = markers(key)
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    after = rest.split(end)[1] if found else "\n"
    before = before if found else before.rstrip("\n") + "\n\n"
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
