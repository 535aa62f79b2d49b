"""Spans of code that name a public object, or a page of this repository, become links to it.

So README and docs name both as they are called, and read well wherever they are read.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform

#: Pages that the site has under other names than their files'.
PAGES = {
    "README.md": "index",
    "bench/README.md": "measurements",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "ROADMAP.md": "roadmap",
}


class CodeLinks(SphinxPostTransform):  # type: ignore[misc]
    """Runs before references are resolved, and leaves those to Sphinx."""

    default_priority = 5

    def run(self, **kwargs: Any) -> None:  # noqa: ARG002
        """Put a reference around each span that names something."""
        names = public_names(self.env.domains.python_domain.objects)
        for types in list(self.document.findall(nodes.classifier)):  # of parameters: words, some of which are names
            types[:] = [self.linked(nodes.Text(word), names) for word in re.split(r"([\w.]+)", types.astext())]
        for span in list(self.document.findall(nodes.literal)):
            if not isinstance(span.parent, nodes.reference | addnodes.pending_xref | nodes.title):
                span.replace_self(self.linked(span, names))

    def linked(self, span: Any, names: dict[str, str]) -> Any:
        """A span as it is, or in a reference to what it names."""
        target = self.target(span.astext(), names)
        if target is None:
            return span
        domain, kind, name = target
        return addnodes.pending_xref(
            "", span.deepcopy(), refdomain=domain, reftype=kind, reftarget=name, refexplicit=True, refwarn=True,
            refdoc=self.env.docname,
        )  # fmt: skip

    def target(self, text: str, names: dict[str, str]) -> tuple[str, str, str] | None:
        """Domain, role and target of what a span names, if it names anything."""
        page = PAGES.get(text) or (match[1] if (match := re.fullmatch(r"docs/(\w+)\.md", text)) else None)
        if page is not None and page in self.env.all_docs:
            return "std", "doc", f"/{page}"
        name = re.match(r"[\w.]*", text)[0]  # type: ignore[index]
        if name in names and text[len(name) :][:1] in ("", "("):
            return "py", "obj", names[name]
        return None


def public_names(objects: dict[str, Any]) -> dict[str, str]:
    """Full names of objects by every end of them that names one alone, and is no word that means other things too."""
    found: dict[str, set[str]] = {}
    for full, entry in objects.items():
        if entry.aliased:  # where it is defined, which is not where it is public
            continue
        parts = full.split(".")
        for i in range(len(parts)):
            end = ".".join(parts[i:])
            if "." in end or "_" in end or end[0].isupper():
                found.setdefault(end, set()).add(full)
    return {end: fulls.pop() for end, fulls in found.items() if len(fulls) == 1}


def setup(app: Any) -> dict[str, bool]:
    """Register the transform with Sphinx."""
    app.add_post_transform(CodeLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
