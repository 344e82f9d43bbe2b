"""Tests that what public functions return, and what they raise, reaches another process as it was.

Nothing is listed here: the classes are found from what `edgeqa` and `edgeqa.models` offer, by what their functions,
methods and properties say they return, and what that is made of. One of each is made from the types of its fields.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import enum
import importlib
import inspect
import pickle
import sys
import types
import typing
from collections import abc
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_errors import import_all, kinds

import edgeqa
import edgeqa.models

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN: dict[object, Any] = {
    str: "x",
    bytes: b"x",
    object: "x",
    Any: "x",
    int: 3,
    float: 0.5,
    bool: True,
    type(None): None,
    Path: Path("x"),
    Exception: ValueError("x"),
    BaseException: ValueError("x"),
}


@cache
def names_of(module: str) -> dict[str, Any]:
    """Returns the names that annotations of a module may have, with those that only a type checker imports."""
    loaded = sys.modules[module]
    names: dict[str, Any] = {**vars(typing), **vars(loaded)}
    top = ast.parse(inspect.getsource(loaded)).body
    guarded = [node for node in top if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    checked = [node for one in guarded for node in one.body]
    for node in (*top, *checked):
        if isinstance(node, ast.ImportFrom) and (source := node.module or "").startswith("edgeqa"):
            near = vars(importlib.import_module(source))
            for one in node.names:
                is_plain = one.name in near and not isinstance(near[one.name], str)
                names[one.asname or one.name] = near[one.name] if is_plain else names_of(source).get(one.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom, ast.Assign)) and node in checked:
            with contextlib.suppress(ImportError):  # of what is not installed
                exec(compile(ast.Module([node], []), f"<{module}>", "exec"), names)  # noqa: S102 - our own source
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias" and node.value is not None:
            meant = node.value.value if isinstance(node.value, ast.Constant) else ast.unparse(node.value)
            with contextlib.suppress(NameError):  # of one that refers to later ones
                names[ast.unparse(node.target)] = eval(str(meant), names)  # noqa: S307 - our own source
    return names


def hints_of(described: Any) -> dict[str, Any]:  # noqa: ANN401 - a class or a function
    if not inspect.isclass(described):
        names = names_of(described.__module__)
        has = types.SimpleNamespace(__annotations__=inspect.unwrap(described).__annotations__)
        return typing.get_type_hints(has, names, names)
    hints: dict[str, Any] = {}
    for kind in reversed(described.__mro__):
        if kind.__module__.startswith("edgeqa") and "__annotations__" in vars(kind):
            names = names_of(kind.__module__)
            bare = type(kind.__name__, (), {"__annotations__": kind.__annotations__, "__module__": kind.__module__})
            hints |= typing.get_type_hints(bare, names, names)
    return hints


def functions() -> Iterator[tuple[str, Any]]:
    """Yields what can be called, or looked at, of all that is public, by its name."""
    for module in (edgeqa, edgeqa.models):
        for name in module.__all__:
            public = getattr(module, name)
            if not inspect.isclass(public):
                yield name, public
            elif not issubclass(public, Exception):
                for called, member in inspect.getmembers(public):
                    found = member.fget if isinstance(member, property) else member
                    if called[0] != "_" and (inspect.isfunction(found) or inspect.ismethod(found)):
                        yield f"{name}.{called}", getattr(found, "__func__", found)


def inside(hint: Any) -> Iterator[type]:  # noqa: ANN401 - any annotation
    """Yields the classes of edgeqa's that an annotation names."""
    if isinstance(hint, type) and not typing.get_args(hint):
        if hint.__module__.startswith("edgeqa"):
            yield hint
        return
    for part in (typing.get_origin(hint), *typing.get_args(hint)):
        if part is not None and part is not hint:
            yield from inside(part)


def is_value(kind: type) -> bool:
    """Tells whether a class is of values; the others are what one works with: runtimes, caches, pipelines."""
    return dataclasses.is_dataclass(kind) or issubclass(kind, (tuple, enum.Enum, BaseException))


def value_classes() -> set[type]:
    """Returns the classes of what is returned, and of what that is made of."""
    left = [kind for _, one in functions() for kind in inside(hints_of(one).get("return"))]
    left += [public for name in edgeqa.__all__ if inspect.isclass(public := getattr(edgeqa, name))]
    found: set[type] = set()
    while left:
        kind = left.pop()
        if kind not in found and is_value(kind):
            found.add(kind)
            if not issubclass(kind, BaseException):
                left += [below for hint in hints_of(kind).values() for below in inside(hint)]
    return found


def made(hint: Any) -> Any:  # noqa: ANN401, C901 - of any annotation, one kind after the other
    """Returns a value of a type."""
    if hint in PLAIN:
        return PLAIN[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return arguments[0]
    if origin in {typing.Union, types.UnionType}:
        return made(next(one for one in arguments if one is not type(None)))
    if origin is tuple:
        return tuple(made(one) for one in arguments if one is not Ellipsis)
    if origin in {list, abc.Sequence, abc.Iterable, abc.Collection}:
        return [made(arguments[0])]
    if origin in {set, frozenset}:
        return origin([made(arguments[0])])
    if origin in {dict, abc.Mapping}:
        return {made(arguments[0]): made(arguments[1])}
    if origin is not None and inspect.isclass(origin):  # one of a generic class
        return made(origin)
    if isinstance(hint, typing.TypeVar):
        return "x"
    if inspect.isclass(hint):
        return made_of_class(hint)
    pytest.fail(f"a value of {hint} cannot be made, and how would it reach another process?")


def made_of_class(kind: type) -> Any:  # noqa: ANN401 - of any class
    if issubclass(kind, edgeqa.EdgeQAError):
        return made_error(kind)
    if issubclass(kind, enum.Enum):
        return next(iter(kind))
    if dataclasses.is_dataclass(kind):
        hints = hints_of(kind)
        return kind(**{field.name: made(hints[field.name]) for field in dataclasses.fields(kind) if field.init})
    if issubclass(kind, tuple):
        hints = hints_of(kind)
        return kind(*(made(hints[name]) for name in kind._fields))  # type: ignore[attr-defined]
    pytest.fail(f"{kind} is no value: what returns it, or has it in a field, cannot be used from a pool of processes")


def made_error(kind: type) -> BaseException:
    """Returns an error that was made as one is raised: of facts."""
    signature = inspect.signature(kind)
    hints = hints_of(kind.__init__) if kind.__init__.__module__.startswith("edgeqa") else {}  # type: ignore[misc]
    given = [one for one in signature.parameters.values() if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    by_place = [made(hints[one.name]) for one in given if one.kind != one.KEYWORD_ONLY]
    by_name = {one.name: made(hints[one.name]) for one in given if one.kind == one.KEYWORD_ONLY}
    found: BaseException = kind(*by_place, **by_name)
    return found


def facts(value: Any) -> Any:  # noqa: ANN401 - any value
    """Returns what a value is made of, errors too, to be compared."""
    if isinstance(value, BaseException):
        return type(value), facts(value.args), facts(vars(value)), str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value), [facts(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, dict):
        return type(value), [(facts(key), facts(one)) for key, one in value.items()]
    if isinstance(value, (tuple, list)):
        return type(value), [facts(one) for one in value]
    return type(value), value


def mirrored(values: list[Any]) -> list[Any]:
    return values


def error_classes() -> list[type]:
    import_all(edgeqa)
    # Another test may have loaded a module anew: then there are classes that no name leads to any more.
    return [kind for kind in kinds() if getattr(sys.modules[kind.__module__], kind.__qualname__, None) is kind]


def test_all_that_is_returned_says_what_it_is() -> None:
    without = [name for name, one in functions() if "return" not in hints_of(one)]
    assert without == []
    names = {kind.__name__ for kind in value_classes()}
    assert {"Answer", "Added", "Capabilities", "Counters", "ModelInfo", "Plan", "Shown", "Verified"} <= names


def test_what_is_returned_reaches_another_process_as_it_was() -> None:
    values = [made(kind) for kind in sorted(value_classes(), key=lambda kind: kind.__qualname__)]
    assert len(values) > 30
    for value in values:
        assert facts(pickle.loads(pickle.dumps(value))) == facts(value)  # noqa: S301 - our own bytes
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert facts(pool.submit(mirrored, values).result()) == facts(values)


def test_errors_that_were_made_of_facts_reach_another_process_with_them() -> None:
    errors = [made_error(kind) for kind in error_classes()]
    assert len(errors) > 100
    for error in errors:
        assert facts(pickle.loads(pickle.dumps(error))) == facts(error)  # noqa: S301 - our own bytes
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert facts(pool.submit(mirrored, errors).result()) == facts(errors)


def found_by_looking() -> dict[str, Any]:
    """Returns what is had of an open runtime, and of the modules, without saying more: for a pool to return."""
    found: dict[str, Any] = {}
    with edgeqa.open() as qa:
        qa.add(Path(__file__))
        for name, one in functions():
            owner, _, method = name.rpartition(".")
            needs = [p for p in inspect.signature(one).parameters.values() if p.default is p.empty and p.name != "self"]
            if needs or method == "close" or owner not in {"", "EdgeQA"} or inspect.iscoroutinefunction(one):
                continue
            if owner:
                value = getattr(qa, method)
                found[name] = value() if callable(value) else value
            else:
                found[name] = one()
    return {
        name: value for name, value in found.items() if is_value(type(value)) or isinstance(value, (tuple, list, dict))
    }


def test_what_real_functions_return_comes_out_of_a_pool() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(found_by_looking).result()
    assert {"EdgeQA.plan", "EdgeQA.list", "EdgeQA.verify", "EdgeQA.counters", "collections", "probe", "list"} <= set(
        found
    )
    for value in found.values():
        assert facts(pickle.loads(pickle.dumps(value))) == facts(value)  # noqa: S301 - our own bytes
