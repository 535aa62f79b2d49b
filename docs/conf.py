"""Sphinx: how the pages, the docstrings and the examples become a site.

sphinx-build -W --keep-going -b html docs docs/_build/html
"""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from sphinx.pycode import ModuleAnalyzer
from sphinx_gallery.scrapers import figure_rst

import fastntk

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # of the two extensions there

# Before PyTorch is mocked: SciPy takes what is mocked for real.
for room in ("dask", "finite", "plot", "sklearn", "solvers", "store"):
    importlib.import_module(f"fastntk.{room}")

FIGURE = "figure.png"

project = "fastntk"
release = version = fastntk.__version__
html_title = f"fastntk {release}"

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "site_links",
    "site_math",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
suppress_warnings = [
    "myst.header",  # tables that commands write begin with a small heading, wherever they are
    "config.cache",  # of functions in the configuration of the gallery
]

# A span of code in a docstring is one in a page: `site_links` makes links of both.
default_role = "code"
smartquotes_action = "q"  # -- begins an option
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
html_math_renderer = "mathml"

autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_member_order = "bysource"
autodoc_mock_imports = ["gpytorch", "torch"]  # 200 MB for two docstrings
autodoc_typehints = "none"  # numpydoc says types
toc_object_entries_show_parents = "hide"  # so that the names of methods fit beside a page
numpydoc_show_class_members = False


def arguments_of(_: dict[str, Any], script: dict[str, Any]) -> list[str]:
    """Give each example that draws something the name of a figure."""
    return ["--figure", FIGURE] if '"--figure"' in Path(script["src_file"]).read_text(encoding="utf-8") else []


def figures_of(block: tuple[Any, ...], script: dict[str, Any], gallery: dict[str, Any]) -> str:  # noqa: ARG001
    """Take the figure that an example has saved."""
    path = Path(script["src_file"]).parent / FIGURE
    if not path.exists():
        return ""
    taken = Path(next(script["image_path_iterator"]))
    shutil.move(path, taken)
    return str(figure_rst([str(taken)], gallery["src_dir"]))


sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/(?!optimise_botorch)\w+\.py$",  # which needs PyTorch
    "image_scrapers": (figures_of,),
    "reset_argv": arguments_of,
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "default_thumb_file": str(HERE / "_static/icon.svg"),  # of those that draw nothing
    "show_memory": False,
    "remove_config_comments": True,
    "download_all_examples": False,
}


def titled(app: Any, name: str, source: list[str]) -> None:  # noqa: ARG001
    """Make the first line of an example, which says what it shows, the title of its page, up to a colon."""

    def with_title(found: re.Match[str]) -> str:
        label, title, rest = found.groups(default="")
        return f"{label}{title}\n{'=' * len(title)}\n\n{rest[:1].upper()}{rest[1:]}\n"

    if name.startswith("gallery/"):
        first_line = r"(rst-class:: sphx-glr-example-title\n\n\.\. [^\n]*\n\n)([^\n]+?)(?:: ([^\n]+)|\.)\n"
        source[0] = re.sub(first_line, with_title, source[0])


def inherited(app: Any, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:  # noqa: ARG001
    """Leave out what classes have from other libraries, whose documentation says it."""
    module = getattr(member, "__module__", None) or project
    return None if module.startswith(project) else True


def constant(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:  # noqa: ARG001
    """Say of a constant what is said where it is defined, which may be another module than where it is public."""
    if what != "data":
        return
    room, _, last = name.rpartition(".")
    for module in [module for module in sys.modules if module.startswith(room)]:
        if getattr(sys.modules[module], last, None) is obj:
            lines[:] = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", last), lines)


def literal(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:  # noqa: ARG001
    """Let norms as |b| and arguments as *layers be what they are: docstrings are read in a terminal too."""
    for i, line in enumerate(lines):
        if line.lstrip().startswith((">>>", "...", "..")):
            continue
        parts = re.split(r"(``.*?``|`.*?`)", line)
        for j in range(0, len(parts), 2):
            parts[j] = re.sub(r"(?<!\\)\|", r"\|", parts[j])
            parts[j] = re.sub(r"(?<![\\*\w])\*(?![*\s])(?![^*]*\w\*(?!\w))", r"\*", parts[j])
        lines[i] = "".join(parts)


def setup(app: Any) -> None:
    """Register what is above with Sphinx."""
    app.connect("autodoc-process-docstring", constant)
    app.connect("autodoc-process-docstring", literal, priority=600)
    app.connect("autodoc-skip-member", inherited)
    app.connect("source-read", titled)


html_theme = "pydata_sphinx_theme"
html_show_copyright = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/icon.svg"
html_context = {"default_mode": "auto"}
html_sidebars: dict[str, list[str]] = {"start": [], "claims": [], "peers": []}  # pages without others beside them
html_theme_options = {
    "logo": {"text": "fastntk"},
    "navbar_align": "left",
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
}
