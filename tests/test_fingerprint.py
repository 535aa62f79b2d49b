"""What a Python function is, to another process: the same where it is the same, another where anything differs."""

from __future__ import annotations

import functools
import itertools
import json
import math
import os
import re
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk import store
from fastntk.networks.fingerprint import UnstableError, fingerprint

pytest.importorskip("zarr")

#: A user's module: functions of every kind, that say nothing of themselves but by what they do.
MODULE = """
import dataclasses, functools, math
import numpy as np, scipy.special
from scipy.interpolate import CubicSpline

SCALE = 2.0
shape, tanh = open(__file__), iter(())  # no attribute of that name is meant
NAMES = {"one", "two", "three", "four"}

def plain(x): return np.tanh(SCALE * x)
def of_sets(x): return x if "one" in NAMES and x.size in {5, 7, "a", "b", "c"} else x + 1
def power(p): return lambda x: np.tanh(p * x)
def wrapped(f):
    @functools.wraps(f)
    def inner(x): return f(x)
    return inner
def itself(x): return x if x is None else itself(None)

class Swish:
    kinds = {"q", "r", "s"}
    def __init__(self, b): self.b, self.names = b, {"u", "v", "w"}
    def __call__(self, x): return x / (1 + np.exp(-self.b * x))
    def method(self, x): return self.b * x

@dataclasses.dataclass(frozen=True)
class Line:
    a: float = 1.0
    def __call__(self, x): return self.a * x

FUNCTIONS = {
    "plain": plain, "sets": of_sets, "closure": power(3.0), "lambda": lambda x: np.where(x > 0, x, 0.1 * x),
    "wrapped": wrapped(plain), "itself": itself, "object": Swish(1.5), "method": Swish(1.5).method,
    "dataclass": Line(2.0), "partial": functools.partial(np.clip, a_min=-1, a_max=1), "ufunc": np.tanh,
    "scipy": scipy.special.expit, "installed": np.clip, "vectorize": np.vectorize(lambda x: x + 1, otypes=[float]),
    "spline": CubicSpline(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9) ** 2), "polynomial": np.poly1d([1, 2, 3]),
    "attribute": lambda x: (x.shape, x.tanh) and x,
    "math": math.tanh, "cached": functools.lru_cache(plain), "mixed": functools.partial(lambda f, x: f(x), power(2.0)),
}
"""

WORKER = """
import json, sys, numpy as np
sys.path.insert(0, sys.argv[1])
import users_module
from fastntk.networks.fingerprint import fingerprint
users_module.FUNCTIONS["vectorize"](np.ones(3))  # it keeps what it has made of it
print(json.dumps({name: fingerprint(function) for name, function in users_module.FUNCTIONS.items()}))
"""


def in_a_process(folder: Path, seed: str) -> dict[str, str]:
    """Fingerprints of all, with another order of sets."""
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", WORKER, str(folder)]
    found: dict[str, str] = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
    return found


def test_in_other_processes(tmp_path: Path) -> None:
    """The same whatever the hash seed and the addresses are, and wherever the module lies; all different."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "users_module.py").write_text(MODULE)
    first = in_a_process(tmp_path / "a", "1")
    assert in_a_process(tmp_path / "b", "2") == first
    assert len(set(first.values())) == len(first)
    (tmp_path / "b/users_module.py").write_text(
        MODULE.replace("SCALE = 2.0", "SCALE = 2.5").replace("s.b * x", "s.b + x")
    )
    other = in_a_process(tmp_path / "b", "2")
    assert {name for name, found in first.items() if other[name] != found} == {"plain", "wrapped", "cached"}


def variants() -> list[Callable[..., Any]]:
    """Functions of which no two do the same."""
    a, b = 1.0, 1.5

    class Scaled:
        def __init__(self, scale: float) -> None:
            self.scale = scale

        def __call__(self, x: Any) -> Any:
            return self.scale * x

    class Shifted(Scaled):
        def __call__(self, x: Any) -> Any:
            return self.scale + x

    return [
        lambda x: x + 1, lambda x: x + 1.0, lambda x: x - 1, lambda x: 1 - x, lambda x: x + a, lambda x: x + b,
        lambda x, y=1.0: x + y, lambda x, y=2.0: x + y, lambda x, *, y=2.0: x + y,
        lambda x: np.sin(x), lambda x: np.cos(x), lambda x: math.sin(x), np.sin, np.cos, math.sin, abs, np.abs,
        Scaled(1.0), Scaled(2.0), Shifted(1.0), Scaled(1.0).__call__,
        functools.partial(np.add, 1), functools.partial(np.add, 2), functools.partial(np.subtract, 1),
        np.poly1d([1, 2]), np.poly1d([1, 3]), np.vectorize(math.sin), np.vectorize(math.cos),
        lambda x: [lambda: x + 1][0](), lambda x: [lambda: x + 2][0](), lambda x: x + (0.0 if a else -0.0),
        lambda x: x + np.array([1.0, 2.0])[0], lambda x: x in {1, 2}, lambda x: x in {1, 3}, lambda x: x in (1, 2),
    ]  # fmt: skip


def test_differences() -> None:
    """Of code, constants, defaults, closures, globals, classes, state."""
    found = [fingerprint(function) for function in variants()]
    again = [fingerprint(function) for function in variants()]
    assert found == again
    same = [(i, j) for i, j in itertools.combinations(range(len(found)), 2) if found[i] == found[j]]
    assert same == []


def test_without_one() -> None:
    """What does not show its code, or cannot be pickled, is refused with a sentence."""
    for value, sentence in (
        (np.frompyfunc(lambda x: x, 1, 1), r"^the ufunc .* does not show its code"),
        ((i for i in range(3)), r"^an object of type builtins\.generator cannot be pickled"),
    ):
        with pytest.raises(UnstableError, match=sentence):
            fingerprint(value)


STORING = """
import sys, numpy as np, fastntk
def f(x): return np.where(x > 0, x, FACTOR * np.expm1(x))
def df(x): return np.where(x > 0, 1.0, FACTOR * np.exp(x))
FACTOR = float(sys.argv[2])
net = fastntk.mlp(1, fastntk.Activation(f, df, kinks=[0], tolerance=1e-6), 1.4, 0.2)
fastntk.store.compute(net, np.random.default_rng(0).normal(size=(10, 3)), sys.argv[1], chunk=5)
"""


def test_stores_go_on_in_another_process(tmp_path: Path) -> None:
    """With a function and its derivative, the form that the documentation recommends; not with another function."""

    def run(factor: float) -> str:
        command = [sys.executable, "-c", STORING, str(tmp_path / "K"), str(factor)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stderr

    assert run(1.0) == ""
    whole = (tmp_path / "K/c/1/0").read_bytes()
    (tmp_path / "K/c/1/0").unlink()
    assert run(1.0) == ""
    assert (tmp_path / "K/c/1/0").read_bytes() == whole
    function = "Activation(<f>, tolerance=1e-06, derivative=<df>, kinks=(0.0,)) of code "
    assert f"K is the store of another kernel: layer 1 of its network is {function}" in run(1.5)
    dense = "Dense(sigma_w=1.4, sigma_b=0.2)"
    before, activation, after = store.about(tmp_path / "K")["network"]
    assert (before, after) == (dense, dense)
    assert re.fullmatch(re.escape(function) + r"[0-9a-f]{16} and values [0-9a-f]{16}", activation)
    with pytest.raises(
        ValueError, match=r"^layer 1 of the network, Activation\(<f>, .* of code .*, is not in the file itself: "
    ):
        _ = store.open(tmp_path / "K").network


def test_stores_of_what_cannot_be_recognised(tmp_path: Path) -> None:
    """Are refused before anything is made."""
    lock = threading.Lock()
    net = fastntk.mlp(1, lambda x: (lock, np.tanh(x))[1])
    with pytest.raises(ValueError, match=r"^layer 1 of the network, .*, could not be recognised in another process: "):
        store.compute(net, np.eye(3), tmp_path / "K")
    assert not (tmp_path / "K").exists()


def module_of(name: str, source: str, monkeypatch: pytest.MonkeyPatch, file: str | None = None) -> Any:
    """A user's module, imported."""
    module = types.ModuleType(name)
    module.__file__ = file or f"/users/{name}.py"
    exec(compile(source, module.__file__, "exec"), vars(module))
    monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.mark.parametrize("last", ["x", "f0(x) if x is None else x"], ids=["acyclic", "cyclic"])
def test_functions_that_call_two_others(last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of sixty, by 2^40 paths; where one differs so do those that call it, and the others do not."""
    lines = [f"def f{i}(x): return f{i + 1}(x) + f{i + 2}(x)" for i in range(60)]
    lines += [f"def f60(x): return {last}", "def f61(x): return x * SCALE"]
    ones = module_of("ones", "\n".join(["SCALE = 1.0", *lines]), monkeypatch)
    same = module_of("ones", "\n".join(["SCALE = 1.0", *lines]), monkeypatch)
    twos = module_of("ones", "\n".join(["SCALE = 2.0", *lines]), monkeypatch)
    assert fingerprint(ones.f0) == fingerprint(same.f0) != fingerprint(twos.f0)
    cyclic = last != "x"
    assert (fingerprint(ones.f60) == fingerprint(twos.f60)) is not cyclic


def test_modules_that_import_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of twelve, by 12! paths."""
    names = [f"part{i}" for i in range(12)]

    def made(scale: float) -> Any:
        parts = [module_of(name, "def f(x): return SCALE * x\nSCALE = 1.0", monkeypatch) for name in names]
        for part in parts:
            vars(part).update(zip(names, parts, strict=True))
        parts[7].SCALE = scale
        source = "def g(x): return [{}]".format(", ".join(f"{name}.f(x)" for name in names))
        user = module_of("user", source, monkeypatch)
        vars(user).update(zip(names, parts, strict=True))
        return user.g

    assert fingerprint(made(1.0)) == fingerprint(made(1.0)) != fingerprint(made(2.0))


@pytest.mark.parametrize("name", ["code", "statistics", "users_own"])
def test_names_of_standard_modules(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's module of such a name is none: it is known by its bytes."""
    found = []
    for factor in (1.0, 1.5):
        module = module_of(name, f"def f(x): return {factor} * x\nclass C:\n    scale = {factor}", monkeypatch)
        for item in (module.f, module.C):
            item.__module__ = name
        found += [fingerprint(module.f), fingerprint(module.C), fingerprint(module.C())]
    assert len(set(found)) == len(found)


def test_what_has_no_end() -> None:
    """Parts that are made as they are asked for."""

    class Endless:
        def __reduce__(self) -> Any:
            return (Endless, (Endless(),))

    with pytest.raises(UnstableError, match=r"^an object of type .*Endless refers to too much$"):
        fingerprint(Endless())


def graphs() -> list[Any]:
    """Lists that hold themselves; the first two look the same along every path, no others do."""
    one: list[Any] = [1]
    one.append(one)
    twice: list[Any] = [1, [1]]
    twice[1].append(twice)
    other: list[Any] = [1, [2]]
    other[1].append(other)
    inner: list[Any] = [1]
    inner.append(inner)
    return [one, twice, other, [2, inner], [other], [1, [1, None]]]


def test_values_that_hold_themselves() -> None:
    """Are what they look like, whatever is shared; with sets, in any order."""
    found = [fingerprint(value) for value in graphs()]
    assert found[0] == found[1]
    assert len(set(found)) == len(found) - 1
    again = (1, 2)
    assert fingerprint([again, again]) == fingerprint([(1, 2), tuple(range(1, 3))])
    assert fingerprint({again, (3, 4)}) != fingerprint({again, (3, 5)})
