"""Makes small changes to a Python source, such as a hand makes by mistake; `mutants.py` tries them one at a time.

In: the text of a module. Out: mutants of it, each a few characters of the text replaced: all else stays as it stands,
so that a line of the log shows what was changed. Left alone is what no test should pin: annotations, docstrings, the
words of messages, what is imported for types alone, and the numbers that a module names: how large a limit is, how long
a pause. Pure.
"""

from __future__ import annotations

import ast
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SWAPPED: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
OPPOSITE = {"min": "max", "max": "min", "any": "all", "all": "any"}
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "+",
    ast.FloorDiv: "*",
    ast.Mod: "//",
    ast.LShift: ">>",
    ast.RShift: "<<",
    ast.BitAnd: "|",
    ast.BitOr: "&",
}
# What may be left out of `f(x)` or `x.f(...)`, so that `x` alone is used.
PLAIN = frozenset({"abs", "bytes", "dict", "frozenset", "int", "list", "reversed", "set", "sorted", "tuple"})
_NOTHING_ENTERED = "__import__('contextlib').nullcontext()"
METHODS = frozenset({"casefold", "copy", "lower", "removeprefix", "removesuffix", "replace", "rstrip", "strip"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the characters from `start` to `end` give way to `text`."""

    line: int
    kind: str
    start: int
    end: int
    text: str

    def applied(self, source: str) -> str:
        """Returns the module with this change."""
        return source[: self.start] + self.text + source[self.end :]

    def shown(self, source: str) -> str:
        """Returns the change on one line; of a long passage, its ends."""
        before, after = (_short(part) for part in (source[self.start : self.end], self.text))
        return f"{self.kind}: {before} -> {after}" if after else f"{self.kind}: {before}"


def mutants(source: str) -> list[Mutant]:
    """Returns what may be changed in a module; not each change makes a module that is another one (`is_another`)."""
    return list(dict.fromkeys(_Finder(source).of(ast.parse(source))))


def is_another(source: str, changed: str) -> bool:
    """Returns whether a changed module compiles, to something else than the module itself."""
    try:
        tree = ast.parse(changed)
        compile(tree, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return ast.dump(tree) != ast.dump(ast.parse(source))


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 90 else f"{flat[:60]} ... {flat[-25:]}"


class _Finder:
    """Walks a module and yields what may be changed in it."""

    def __init__(self, source: str) -> None:
        self._source = source
        lines = source.splitlines(keepends=True)
        self._begins = [0, *itertools.accumulate(len(line) for line in lines)]
        self._lines = [line.encode() for line in lines]

    def of(self, node: ast.AST) -> Iterator[Mutant]:
        yield from self._in_statement(node)
        yield from self._of_condition(node)
        yield from self._in_expression(node)
        for child in self._children(node):
            yield from self.of(child)

    def _children(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yields what of a node is code of the module itself."""
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from node.orelse
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None and "TypeAlias" not in ast.dump(node.annotation):
                yield node.value
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from (*node.body, *node.args.defaults, *(default for default in node.args.kw_defaults if default))
        elif isinstance(node, ast.ClassDef):
            yield from node.body
        elif isinstance(node, ast.Raise):  # but not the words of its message
            if isinstance(node.exc, ast.Call):
                yield from (keyword for keyword in node.exc.keywords if keyword.arg == "kind")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("cast", "TypeVar"):
            yield from node.args[1:]
        elif not isinstance(node, (ast.Import, ast.ImportFrom)) and not _is_docstring(node) and not _is_choice(node):
            yield from ast.iter_child_nodes(node)

    # --- statements ---------------------------------------------------------------------------------------------------

    def _in_statement(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Expr(value=ast.Constant()):
                return
            case (
                ast.Expr()
                | ast.AugAssign()
                | ast.Delete()
                | ast.Raise()
                | ast.Assign(targets=[ast.Attribute() | ast.Subscript()])
            ):
                yield self._changed(node, "dropped", "pass")
            case ast.Break():
                yield self._changed(node, "break", "continue")
            case ast.Continue():
                yield self._changed(node, "continue", "break")
            case ast.Return(value=ast.expr() as value) if not _is_nothing(value):
                yield self._changed(value, "returned", "None")
            case ast.With(items=items):
                for item in items:
                    if item.optional_vars is None:
                        yield self._changed(item.context_expr, "not entered", _NOTHING_ENTERED)

    def _of_condition(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                return
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                yield self._negated(test)
            case ast.comprehension(ifs=[first, *_]):
                yield self._negated(first)
                yield self._changed(first, "condition", "True")

    def _negated(self, test: ast.expr) -> Mutant:
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self._changed(test, "negated", f"({self._text(test.operand)})")
        return self._changed(test, "negated", f"(not ({self._text(test)}))")

    # --- expressions --------------------------------------------------------------------------------------------------

    def _in_expression(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare():
                yield from self._compare(node)
            case ast.BoolOp(op=op, values=values):
                word, other = ("or", "and") if isinstance(op, ast.Or) else ("and", "or")
                yield self._between(values[0], values[1], "junction", other)
                for value in values:
                    left = [self._text(v) for v in values if v is not value]
                    yield self._changed(node, "operand", f"({f' {word} '.join(left)})")
            case ast.BinOp(op=op, left=first, right=second):
                if type(op) in OPERATORS and not isinstance(first, ast.Constant | ast.JoinedStr):
                    yield self._between(first, second, "arithmetic", OPERATORS[type(op)])
                    yield self._changed(node, "arithmetic", f"({self._text(first)})")
            case ast.Constant():
                yield from self._constant(node)
            case ast.Call():
                yield from self._call(node)
            case _:
                yield from self._parts(node)

    def _compare(self, node: ast.Compare) -> Iterator[Mutant]:
        second = node.comparators[0]
        yield self._between(node.left, second, "comparison", SWAPPED[type(node.ops[0])])
        if len(node.ops) > 1:
            yield self._between(second, node.comparators[1], "comparison", SWAPPED[type(node.ops[1])])
            yield self._changed(node, "one bound", self._source[self._span(node)[0] : self._span(second)[1]])

    def _parts(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Tuple(elts=[_, _, *_] as elements, ctx=ast.Load()) | ast.List(elts=[_, _, *_] as elements):
                for element in elements:
                    yield self._without(node, element, elements)
            case ast.Dict(keys=[_, _, *_] as keys, values=values):
                yield from (self._without_pair(key, value) for key, value in zip(keys, values, strict=True) if key)
            case ast.JoinedStr(values=parts):
                for part in parts:
                    if isinstance(part, ast.FormattedValue) and self._source[self._span(part.value)[0] - 1] == "{":
                        yield self._changed(part.value, "part of a text", "''")
            case ast.Slice(lower=lower, upper=upper):
                bounds = [bound for bound in (lower, upper) if bound is not None]
                yield from (self._changed(bound, "slice", f"({self._text(bound)}) + 1") for bound in bounds)

    def _constant(self, node: ast.Constant) -> Iterator[Mutant]:
        value = node.value
        if isinstance(value, bool):
            yield self._changed(node, "constant", str(not value))
        elif isinstance(value, int):
            yield self._changed(node, "constant", str(value + 1))
            if value:
                yield self._changed(node, "constant", str(value - 1))
        elif isinstance(value, float):
            yield self._changed(node, "constant", str(value * 2 or 1.0))
        elif isinstance(value, (str, bytes)) and value and self._text(node)[:1] in "\"'b":
            yield self._changed(node, "constant", "b''" if isinstance(value, bytes) else "''")

    def _call(self, node: ast.Call) -> Iterator[Mutant]:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in OPPOSITE:
            yield self._changed(node.func, "opposite", OPPOSITE[name])
            if len(node.args) == 2 and not isinstance(node.args[0], ast.Starred):
                for argument in node.args:
                    yield self._changed(node, "bound", f"({self._text(argument)})")
        if name in PLAIN and len(node.args) == 1 and not isinstance(node.args[0], (ast.Starred, ast.GeneratorExp)):
            yield self._changed(node, "not converted", f"({self._text(node.args[0])})")
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            yield self._changed(node, "not converted", self._text(node.func.value))
        plain = [argument for argument in node.args if not isinstance(argument, ast.Starred)]
        if len(plain) > 1:
            yield self._without(node, plain[-1], [*node.args, *node.keywords], "argument")
            first, second = plain[:2]
            if self._text(first) != self._text(second) and name not in OPPOSITE:
                start, end = self._span(first)[0], self._span(second)[1]
                between = self._source[self._span(first)[1] : self._span(second)[0]]
                swapped = self._text(second) + between + self._text(first)
                yield Mutant(first.lineno, "arguments swapped", start, end, swapped)
        for keyword in node.keywords:
            if keyword.arg is not None:
                yield self._without(node, keyword, [*node.args, *node.keywords], "argument")

    # --- places in the text -------------------------------------------------------------------------------------------

    def _span(self, node: ast.AST) -> tuple[int, int]:
        return (
            self._place(node.lineno, node.col_offset),  # type: ignore[attr-defined]
            self._place(node.end_lineno, node.end_col_offset),  # type: ignore[attr-defined]
        )

    def _place(self, line: int, column_bytes: int) -> int:
        return self._begins[line - 1] + len(self._lines[line - 1][:column_bytes].decode())

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self._source[start:end]

    def _changed(self, node: ast.AST, kind: str, text: str) -> Mutant:
        return Mutant(node.lineno, kind, *self._span(node), text)  # type: ignore[attr-defined]

    def _between(self, left: ast.expr, right: ast.expr, kind: str, operator: str) -> Mutant:
        """Returns the mutant with another operator between two operands, whose brackets stay."""
        start, end = self._span(left)[1], self._span(right)[0]
        between = self._source[start:end]
        word = between.strip("() \n\\").split("#")[0].strip()
        return Mutant(right.lineno, kind, start, end, between.replace(word, operator, 1))

    def _without(
        self, node: ast.AST, item: ast.AST, items: list[ast.AST] | list[ast.expr], kind: str = "element"
    ) -> Mutant:
        """Returns the mutant without one of a node's items and the comma beside it."""
        if isinstance(node, ast.Tuple) and len(items) == 2:
            return self._changed(node, kind, f"({self._text(items[items[0] is item])},)")
        start, end = self._span(item)
        rest = self._source[end:]
        stripped = rest.lstrip()
        if stripped.startswith(","):
            end += len(rest) - len(stripped) + 1
        elif item is not items[0]:
            start = self._source.rindex(",", 0, start)
        return Mutant(item.lineno, kind, start, end, "")  # type: ignore[attr-defined]

    def _without_pair(self, key: ast.expr, value: ast.expr) -> Mutant:
        start, end = self._span(key)[0], self._span(value)[1]
        rest = self._source[end:]
        stripped = rest.lstrip()
        if stripped.startswith(","):
            end += len(rest) - len(stripped) + 1
        return Mutant(key.lineno, "element", start, end, "")


def _is_nothing(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (None, False)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_choice(node: ast.AST) -> bool:
    """Returns whether a statement of the module gives a name to a number, or to several: a limit, a pause."""
    if not isinstance(node, ast.Assign) or node.col_offset:
        return False
    return not any(isinstance(part, (ast.Call, ast.Name)) for part in ast.walk(node.value)) and not any(
        isinstance(part, ast.Constant) and isinstance(part.value, (str, bytes)) for part in ast.walk(node.value)
    )
