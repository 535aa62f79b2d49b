"""Tests of the code base itself: what is written in two places agrees."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import fastntk
from fastntk import _core
from fastntk.finite import steps
from fastntk.networks import text
from fastntk.reference import recursion

ROOT = Path(__file__).parents[1]


def test_version() -> None:
    """The C++ core was built with the version that Python's metadata states."""
    assert fastntk.__version__ == importlib.metadata.version("fastntk")


def test_version_is_said_once() -> None:
    """In pyproject.toml; the changelog begins with it, and nothing else that is read of the project names it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest
    assert newest[1] == project["version"]
    for name in ("README.md", "CITATION.cff", "CMakeLists.txt", "python/fastntk/__init__.py"):
        text = (ROOT / name).read_text(encoding="utf-8")
        measured = re.compile(r"<!-- begin \w+ -->.*?<!-- end \w+ -->", re.DOTALL)  # which say of what version they are
        assert project["version"] not in measured.sub("", text), name


def test_stub_lists_the_core() -> None:
    """_core.pyi names what the module has, and nothing else."""
    stub = ast.parse((Path(fastntk.__file__).parent / "_core.pyi").read_text(encoding="utf-8"))
    stated: dict[str, set[str]] = {}
    for node in stub.body:
        if isinstance(node, ast.ClassDef):
            stated[node.name] = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef):
            stated[node.name] = set()
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            stated[node.target.id] = set()
    methods = stated["_Program"]
    stated = {name: inside for name, inside in stated.items() if not name.startswith("_")}
    assert {name for name in vars(_core) if not name.startswith("_")} == set(stated)
    for program in (_core.ProgramFloat32, _core.ProgramFloat64):
        public = {name for name in vars(program) if not name.startswith("_")}
        assert public | {"__init__"} == methods


def built_objects() -> list[Path]:
    """The object files of the arithmetic, where this checkout was built."""
    return sorted(ROOT.glob("build/**/fastntk_*.dir/cpp/isa/*.cpp.o"))


@pytest.mark.skipif(
    not built_objects() or not shutil.which("nm"),
    reason="no object files of a build in this checkout, or no nm",
)
def test_instruction_sets_do_not_leak() -> None:
    """An object built for AVX defines no function that another one could be linked to."""
    for path in built_objects():
        isa = re.search(r"fastntk_(\w+)\.dir", str(path))
        assert isa
        listing = subprocess.run(["nm", "-C", "--defined-only", path], check=True, capture_output=True, text=True)
        functions = [line for line in listing.stdout.splitlines() if re.match(r"[0-9a-f]* [TtWw] ", line)]
        assert functions
        for line in functions:
            assert f"fastntk::{isa[1]}::" in line, f"{path}: {line}"


def test_rooms() -> None:
    """At most nineteen at the top, each of which says at its door what lives there."""
    package = Path(fastntk.__file__).parent
    rooms = {path.stem for path in package.iterdir() if path.is_dir() or path.suffix == ".py"}
    rooms -= {"__init__", "__main__", "__pycache__"}
    assert len(rooms) <= 19, rooms
    for room in package.rglob("__init__.py"):
        docstring = ast.get_docstring(ast.parse(room.read_text(encoding="utf-8")))
        assert (docstring or "").split("\n")[0].endswith("."), room


def test_public_names() -> None:
    """What dir() shows is public, has a docstring and an example; help() begins with one."""
    names = [name for name in dir(fastntk) if name not in ("__version__", "gpytorch")]  # the latter needs PyTorch
    assert not [name for name in names if name.startswith("_")]
    assert set(fastntk.__all__) <= {*names, "__version__"}
    assert all(getattr(fastntk, name).__doc__ for name in names)
    assert (fastntk.__doc__ or "").index(">>>") < 150


def test_nothing_is_on_that_was_not_asked_for() -> None:
    """Options that many functions have begin alike in all of them."""
    begins: dict[str, object] = {
        "progress": False, "callback": None, "out": None, "dtype": None, "max_memory": None, "rng": None,
        "covariance": False, "eval_gradient": False,
    }  # fmt: skip
    seen = dict.fromkeys(begins, 0)
    for path in (ROOT / "python" / "fastntk").rglob("*.py"):
        if path.parent.name == "demo":
            continue
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                given = function.args
                with_default = (given.posonlyargs + given.args)[::-1][: len(given.defaults)][::-1]
                pairs = zip(with_default + given.kwonlyargs, given.defaults + given.kw_defaults, strict=True)
                for argument, default in pairs:
                    if argument.arg in begins and isinstance(default, ast.Constant) and default.value is not ...:
                        assert default.value is begins[argument.arg], f"{path}: {function.name}({argument.arg})"
                        seen[argument.arg] += 1
    assert min(seen.values()) > 1


def test_workflow_runs_all_stages() -> None:
    """Those that `.ci/run` runs by itself, but for that with PyTorch's own index of packages."""
    stages = re.search(r"set -- ([a-z ]+)", (ROOT / ".ci/run").read_text())
    matrix = re.search(r"stage: \[([a-z, ]+)\]", (ROOT / ".github/workflows/ci.yml").read_text())
    assert stages
    assert matrix
    assert set(stages[1].split()) - {"torch"} <= set(matrix[1].split(", "))


def test_no_type_is_wider_than_double() -> None:
    """Half of the machines have none, or only a slow one."""
    wider = re.compile(r"long\s+double|longdouble|float(80|96|128)|\b_Float\d|\b\d+\.\d*L\b")
    for folder, suffixes in (("cpp", {".hpp", ".cpp"}), ("python", {".py", ".pyi"})):
        files = [path for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
        assert files or folder == "cpp"
        for path in files:
            found = wider.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{path}: {found[0]}"


def test_every_layer_has_its_rules() -> None:
    """In the package's names, the text of networks, the reference and finite networks."""
    layers = {name: getattr(fastntk.layers, name) for name in fastntk.layers.__all__ if name != "Layer"}
    assert {layer for name, layer in vars(fastntk).items() if name in fastntk.__all__} >= set(layers.values())
    assert layers.keys() <= text._KNOWN.keys()
    for rule in (recursion._behind, steps.step):
        assert not [
            name for name, layer in layers.items() if rule.dispatch(layer) is rule.dispatch(fastntk.layers.Layer)
        ]
