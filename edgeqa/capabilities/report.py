"""The capability report: `Capabilities`, a `Plan` or its refusal, and the self-test's line in; text or JSON out. Pure.

The text is for a person with ten seconds: a name, a value, why. The JSON has the same facts under the names of the
dataclasses.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from edgeqa.capabilities.settings import show_bytes
from edgeqa.errors import NotEnoughMemory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeqa.capabilities.plan import Choice, Plan
    from edgeqa.capabilities.readings import Capabilities

WIDTH = 110
_INDENT = "  "


@dataclass(frozen=True, slots=True)
class SelfTestLine:
    """What the report says of the model's self-test."""

    text: str
    passed: bool | None
    """None if it was not run."""


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    value: str
    why: str


def describe(device: Capabilities, plan: Plan | NotEnoughMemory, self_test: SelfTestLine) -> str:
    """Returns the report as a table of names, values and reasons."""
    sections = [("device", _device(device)), ("plan", _plan(plan)), ("model", [_verdict(self_test)])]
    rows = [row for _, section in sections for row in section]
    name_width, value_width = max(len(row.name) for row in rows), max(len(row.value) for row in rows)
    lines: list[str] = []
    for title, section in sections:
        lines += ["", title] if lines else [title]
        for row in section:
            start = f"{_INDENT}{row.name:{name_width}}  {row.value:{value_width}}  "
            # A long reason goes on below itself, so that the columns stay columns.
            lines += wrap(row.why, WIDTH, initial_indent=start, subsequent_indent=" " * len(start)) or [start.rstrip()]
    return "\n".join(lines)


def to_json(device: Capabilities, plan: Plan | NotEnoughMemory, self_test: SelfTestLine) -> dict[str, Any]:
    """Returns the report as a JSON object: `device`, `plan` (null if refused), `refusal` (null if not), `self_test`.

    Each member of `device`, and each choice of `plan`, is an object of `value` and `reason`.
    """
    return {
        "device": _members(device),
        "plan": None if isinstance(plan, NotEnoughMemory) else _members(plan),
        "refusal": _refusal(plan) if isinstance(plan, NotEnoughMemory) else None,
        "self_test": {"passed": self_test.passed, "text": self_test.text},
    }


def _members(record: Capabilities | Plan) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(record):
        member = getattr(record, field.name)
        if isinstance(member, int):
            found[field.name] = member
        else:
            value = list(member.value) if isinstance(member.value, tuple) else member.value
            found[field.name] = {"value": value, "reason": member.reason}
    return found


def _refusal(error: NotEnoughMemory) -> dict[str, Any]:
    return {
        "text": str(error),
        "hint": error.hint,
        "needed_bytes": error.needed_bytes,
        "available_bytes": error.available_bytes,
        "missing_bytes": error.missing_bytes,
    }


def _device(device: Capabilities) -> Iterable[_Row]:
    d = device
    bits = "" if d.pointer_bits.value is None else f" {d.pointer_bits.value} bits"
    rows = [
        _Row("board", _text(d.board.value), d.board.reason),
        _Row(
            "system",
            f"{_text(d.os.value)} {_text(d.machine.value)}{bits}",
            f"pages of {_bytes(d.page_size_bytes.value)}",
        ),
        _Row("memory", _bytes(d.memory_total_bytes.value), d.memory_total_bytes.reason),
        _Row("available", _bytes(d.memory_available_bytes.value), d.memory_available_bytes.reason),
    ]
    if d.address_space_bytes.value is not None:
        rows.append(_Row("address space", _bytes(d.address_space_bytes.value), d.address_space_bytes.reason))
    rows += [
        _Row("cores", _text(d.cores.value), d.cores.reason),
        _Row("int8 flags", _names(d.cpu_flags.value), d.cpu_flags.reason),
        _Row("providers", _names(d.providers.value, drop="ExecutionProvider"), d.providers.reason),
        _Row("accelerators", _names(d.accelerators.value, drop="/dev/"), d.accelerators.reason),
        _Row("disk", _bytes(d.home_free_bytes.value), f"{_text(d.home_file_system.value)}: {d.home_free_bytes.reason}"),
        _Row(
            "temperature",
            "unknown" if d.temperature_c.value is None else f"{d.temperature_c.value:.0f} °C",
            d.temperature_c.reason,
        ),
    ]
    return rows


def _plan(plan: Plan | NotEnoughMemory) -> Iterable[_Row]:
    if isinstance(plan, NotEnoughMemory):
        return [_Row("none", f"{show_bytes(plan.missing_bytes)} missing", str(plan))]
    p = plan
    return [
        _Row("needs", show_bytes(p.needed_bytes), f"at most, {show_bytes(p.margin_bytes)} more stay free"),
        _Row("fits into", show_bytes(p.available_bytes.value), p.available_bytes.reason),
        _Row("threads", str(p.threads.value), p.threads.reason),
        _Row("callers", f"{p.callers.value} at a time", p.callers.reason),
        _Row("precision", p.precision.value, p.precision.reason),
        _Row("window", f"{p.window_tokens.value} tokens", p.window_tokens.reason),
        _Row("batch", f"{p.batch_contexts.value} context{'s' * (p.batch_contexts.value > 1)}", p.batch_contexts.reason),
        _Row("answer cache", show_bytes(p.answer_cache_bytes.value), p.answer_cache_bytes.reason),
        _Row("encoding store", show_bytes(p.encoding_store_bytes.value), p.encoding_store_bytes.reason),
        _Row("persist", p.persist.value, p.persist.reason),
        _Row("spinning", _on_off(p.spinning), p.spinning.reason),
    ]


def _verdict(self_test: SelfTestLine) -> _Row:
    return _Row("self-test", {True: "passed", False: "FAILED", None: "not run"}[self_test.passed], self_test.text)


def _text(value: object) -> str:
    return "unknown" if value is None else str(value)


def _bytes(value: int | None) -> str:
    return "unknown" if value is None else show_bytes(value)


def _names(value: tuple[str, ...] | None, *, drop: str = "") -> str:
    return "unknown" if value is None else " ".join(name.replace(drop, "") for name in value) or "none"


def _on_off(choice: Choice[bool]) -> str:
    return "on" if choice.value else "off"
