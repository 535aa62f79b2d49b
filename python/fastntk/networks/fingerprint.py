"""What a Python function is, as a number that another process finds too: of its code and of all that it refers to.

Never an address, a `hash` or the order of a set, which are other ones there. What comes with Python or was installed
(NumPy, SciPy, ...) is known by its name; what users wrote, by its bytes.
"""

from __future__ import annotations

import builtins
import copyreg
import dis
import functools
import hashlib
import sys
import sysconfig
import types
from collections.abc import Iterable, Set
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

#: Of a class, what says nothing of what it does.
_BOOKKEEPING = {
    "__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__abstractmethods__",
    "_abc_impl", "__firstlineno__", "__static_attributes__", "__annotate__", "__annotate_func__",
    "__annotations_cache__", "__match_args__", "__slotnames__",
}  # fmt: skip

_LIBRARIES = [Path(sysconfig.__file__).resolve().parent]  # of the standard library, also where it is a .zip
_LIBRARIES += [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")]
#: References one after another to a value, more than which it has no fingerprint.
_DEEPEST = 2000
_ATOMS = (type(None), type(...), type(NotImplemented), bool, int, float, complex, str, bytes)


class UnstableError(ValueError):
    """Something that another process cannot recognise."""


def fingerprint(value: object) -> str:
    """Digest of a function, or of any value, the same in every process.

    Raises
    ------
    UnstableError
        If there is none, for a reason that the sentence says.

    Examples
    --------
    >>> from fastntk.networks.fingerprint import fingerprint
    >>> fingerprint(lambda x: x + 1) == fingerprint(lambda y: y + 1)
    True
    >>> fingerprint(lambda x: x + 1) == fingerprint(lambda x: x + 1.5)
    False
    """
    return _digest(_nodes(value)).hex()


def _join(kind: str, *parts: bytes) -> bytes:
    digest = hashlib.sha256(kind.encode())
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


class _Node(NamedTuple):
    """A value: what it is by itself, and what it refers to."""

    label: bytes
    parts: list[Any]
    ordered: bool = True


class _Item(NamedTuple):
    """An entry of a dict."""

    key: object
    value: object


class _View(NamedTuple):
    """What a function may take from a module, by any of its names."""

    module: types.ModuleType
    names: frozenset[str]


def _nodes(value: object) -> list[_Node]:
    """Nodes of a value, the first, and of all that it refers to; parts are their numbers in this list.

    However often a value is referred to, it is one node, so that the cost is that of the references.
    """
    numbers: dict[object, int] = {}
    values: list[Any] = []  # alive, for their addresses to be theirs alone
    depths: list[int] = []

    def number(item: object, depth: int) -> int:
        key = (id(item.module), item.names) if isinstance(item, _View) else id(item)
        if key not in numbers:
            numbers[key] = len(values)
            values.append(item)
            depths.append(depth)
        return numbers[key]

    number(value, 0)
    nodes: list[_Node] = []
    while len(nodes) < len(values):
        depth = depths[len(nodes)] + 1
        if depth > _DEEPEST:  # a value whose parts are made as they are asked for may have no end
            raise UnstableError(f"{_called(value)} refers to too much")
        node = _node(values[len(nodes)])
        nodes.append(node._replace(parts=[number(part, depth) for part in node.parts]))
    return nodes


def _digest(nodes: list[_Node]) -> bytes:
    """Digest of the first node: the same of graphs that look the same, from there, along every path.

    Nodes are told apart by what they refer to directly, then by what that refers to, and so on until no more of them
    differ. The digests of all kinds of them then say where each reference leads: they describe the whole graph.

    References
    ----------
    Hopcroft, "An n log n algorithm for minimizing states in a finite automaton" (1971), for what is equal from there.
    """
    found = [node.label for node in nodes]
    inner = [i for i, node in enumerate(nodes) if node.parts]
    kinds = 0
    while (now := len(set(found))) > kinds:
        kinds, before = now, found.copy()
        for i in inner:
            parts = [before[part] for part in nodes[i].parts]
            found[i] = _join("node", nodes[i].label, *(parts if nodes[i].ordered else sorted(parts)))
    return _join("graph", found[0], *sorted(set(found)))


def _node(value: Any) -> _Node:
    """A value by itself, and the values it refers to."""
    if isinstance(value, _ATOMS) and type(value) in _ATOMS:
        return _Node(_join(type(value).__name__, repr(value).encode("utf-8", "surrogatepass")), [])

    def node(kind: str, parts: Iterable[Any] = (), *own: bytes, ordered: bool = True) -> _Node:
        return _Node(_join(kind, *own), list(parts), ordered)

    match value:
        case _Item():
            return node("item", value)
        case _View():
            return node("view", [value.module.__name__, _reached(value.names, value.names, vars(value.module))])
        case np.ndarray() | np.generic():
            array = np.asarray(value)
            if array.dtype.hasobject:
                return node("objects", array.ravel().tolist(), repr(array.shape).encode())
            return node("array", (), repr((array.dtype.descr, array.shape)).encode(), array.tobytes())
        case types.ModuleType():
            return node("module", (), value.__name__.encode())
        case types.CodeType():
            return node("code", _parts_of_code(value), value.co_code)
        case types.FunctionType() if not _is_installed(value):
            return node("function", _parts_of_function(value))
        case types.MethodType():
            return node("method", (value.__func__, value.__self__))
        case functools.partial():
            return node("partial", (value.func, value.args, value.keywords))
        case np.vectorize():  # it keeps what it has called
            return node("vectorize", (value.pyfunc, value.otypes, value.signature, value.excluded))
        case np.ufunc():
            return node("ufunc", (), _name_of_ufunc(value))
        case type() if not _is_installed(value):
            held = {name: item for name, item in vars(value).items() if name not in _BOOKKEEPING}
            return node("class", (value.__name__, value.__bases__, held))
        case staticmethod() | classmethod():
            return node(type(value).__name__, (value.__func__,))
        case property():
            return node("property", (value.fget, value.fset, value.fdel))
        case types.MemberDescriptorType() | types.GetSetDescriptorType():
            return node("slot", (), value.__name__.encode())
        case types.BuiltinMethodType() if not isinstance(value.__self__, (types.ModuleType, type, type(None))):
            return node("bound", (value.__name__, value.__self__))
    if type(value) in (tuple, list):
        return node(type(value).__name__, value)
    if type(value) in (set, frozenset):
        return node(type(value).__name__, value, ordered=False)
    if type(value) in (dict, types.MappingProxyType):
        return node("dict", map(_Item._make, value.items()), ordered=False)
    if callable(value):
        # Of lru_cache, numba.jit, jax.jit and others of their kind: what is inside.
        for name in ("__wrapped__", "py_func"):
            if isinstance(inner := getattr(value, name, None), types.FunctionType):
                return node("wrapper", (type(value), inner))
        if (place := _place(value)) and _is_installed(value):
            return node("installed", (), place.encode())
    return node("object", _parts_of_object(value))


def _parts_of_code(code: types.CodeType) -> tuple[Any, ...]:
    table = getattr(code, "co_exceptiontable", b"")
    arguments = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
    return table, code.co_consts, code.co_names, arguments, code.co_flags


def _parts_of_function(function: types.FunctionType) -> tuple[Any, ...]:
    cells: list[tuple[Any, ...]] = []
    for cell in function.__closure__ or ():
        try:
            cells.append((cell.cell_contents,))
        except ValueError:  # not yet filled
            cells.append(())
    reached = _reached(_globals(function.__code__), _names(function.__code__), function.__globals__)
    return function.__code__, function.__defaults__, function.__kwdefaults__, cells, reached, vars(function)


def _inner(code: types.CodeType) -> list[types.CodeType]:
    """Functions and classes that are defined in a function."""
    return [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]


def _names(code: types.CodeType) -> set[str]:
    """Names of globals and attributes in a function, and in those that it defines."""
    return set(code.co_names).union(*map(_names, _inner(code)))


def _globals(code: types.CodeType) -> set[str]:
    """Names of globals alone."""
    loads = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
    found = {str(step.argval) for step in dis.get_instructions(code) if step.opname in loads}
    return found.union(*map(_globals, _inner(code)))


def _reached(wanted: Set[str], names: Set[str], namespace: dict[str, Any]) -> dict[str, Any]:
    """Globals that a function refers to; of a user's module what it may take from there."""
    found: dict[str, Any] = {}
    for name in wanted & namespace.keys():
        value = namespace[name]
        own = isinstance(value, types.ModuleType) and not _is_library(value)
        found[name] = _View(value, frozenset(names)) if own else value
    return found


def _parts_of_object(value: object) -> tuple[Any, ...]:
    """What would be pickled of it."""
    try:
        reduced = value.__reduce_ex__(2)
    except Exception as error:
        raise UnstableError(f"{_called(value)} cannot be pickled: {error}") from None
    if isinstance(reduced, str):
        return ("global", type(value), reduced)
    function, arguments, *state = reduced
    if function is copyreg.__newobj__:  # type: ignore[attr-defined]
        function = "new"
    items = [list(part) if part is not None and i else part for i, part in enumerate(state[:3])]
    return (type(value), function, arguments, *items)


def _name_of_ufunc(ufunc: np.ufunc) -> bytes:
    for module in ("numpy", "scipy.special"):
        if module in sys.modules and getattr(sys.modules[module], ufunc.__name__, None) is ufunc:
            return f"{module}.{ufunc.__name__}".encode()
    raise UnstableError(f"the ufunc {ufunc.__name__!r} is none of NumPy's or SciPy's, and does not show its code")


def _place(value: object) -> str:
    """Where it is found by name, if it is."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    owner = getattr(value, "__self__", None)
    module = owner.__name__ if isinstance(owner, types.ModuleType) else getattr(value, "__module__", None)
    if owner is None and module is None and hasattr(builtins, str(name)):
        module = "builtins"
    return f"{module}.{name}" if isinstance(name, str) and isinstance(module, str) else ""


def _is_installed(value: object) -> bool:
    """Whether a function or class is found by its name in what comes with Python, or was installed."""
    module, _, _ = _place(value).rpartition(".")
    while module and module not in sys.modules:
        module, _, _ = module.rpartition(".")  # the name of a method has its class in it
    if not module or not _is_library(sys.modules[module]):
        return False
    found: Any = sys.modules[module]
    for name in _place(value)[len(module) + 1 :].split("."):
        found = getattr(found, name, None)
    return found is value or isinstance(value, types.BuiltinFunctionType)


def _is_library(module: types.ModuleType) -> bool:
    top = module.__name__.partition(".")[0]
    if top in ("__main__", "__mp_main__"):
        return False
    if top in ("fastntk", "numpy", "scipy"):
        return True
    file = getattr(sys.modules.get(top, module), "__file__", None)
    if file is None:
        return top in sys.stdlib_module_names  # built in, or frozen
    return any(Path(file).resolve().is_relative_to(place) for place in _LIBRARIES)


def _called(value: object) -> str:
    return f"an object of type {type(value).__module__}.{type(value).__qualname__}"
