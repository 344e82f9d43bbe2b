"""The capability report: `Capabilities`, a `Plan` or its refusal, and the self-test's line in; text or JSON out. Pure.

The text is for a person with ten seconds: a name, a value, why. The JSON has the same facts under the names of the
dataclasses.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from edgeqa.capabilities import show_bytes
from edgeqa.capabilities.precision import short
from edgeqa.errors import NotEnoughMemory

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.capabilities.device import Capabilities, Reading
    from edgeqa.capabilities.plan import Choice, Plan, Provider

WIDTH = 110
_INDENT = "  "
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SelfTestLine:
    """The report's line on the model's self-test."""

    text: str
    passed: bool | None
    """None if it was not run."""
    fingerprint: str | None = None
    """The fingerprint that the keys of answers hold, if the model has passed."""


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
            # A long reason continues in its own column.
            lines += wrap(row.why, WIDTH, initial_indent=start, subsequent_indent=" " * len(start)) or [start.rstrip()]
    return "\n".join(lines)


def to_json(device: Capabilities, plan: Plan | NotEnoughMemory, self_test: SelfTestLine) -> dict[str, Any]:
    """Returns the report as a JSON object: `device`, `plan`, `refusal` (null if not), `self_test`, `provider`.

    `plan` and `provider` are null if it is refused. Each member of `device`, and each choice of `plan`, is an object of
    `value` and `reason`.
    """
    return {
        "device": _members(device),
        "plan": None if isinstance(plan, NotEnoughMemory) else _members(plan),
        "refusal": _refusal(plan) if isinstance(plan, NotEnoughMemory) else None,
        "self_test": asdict(self_test),
        "provider": None if isinstance(plan, NotEnoughMemory) else plan.provider.to_json(),
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


def _device(d: Capabilities) -> list[_Row]:
    bits = "" if d.pointer_bits.value is None else f" {d.pointer_bits.value} bits"
    system = f"{d.os.value or _UNKNOWN} {d.machine.value or _UNKNOWN}{bits}"
    disk = _row("disk", d.home_free_bytes, show_bytes)
    return [
        _row("board", d.board),
        _Row("system", system, f"pages of {_row('', d.page_size_bytes, show_bytes).value}"),
        _row("memory", d.memory_total_bytes, show_bytes),
        _row("available", d.memory_available_bytes, show_bytes),
        *([] if d.address_space_bytes.value is None else [_row("address space", d.address_space_bytes, show_bytes)]),
        _row("cores", d.cores),
        _row("int8 flags", d.cpu_flags, _names),
        _row("providers", d.providers, lambda names: _names(names, drop="ExecutionProvider")),
        _row("accelerators", d.accelerators, lambda names: _names(names, drop="/dev/")),
        replace(disk, why=f"{d.home_file_system.value or _UNKNOWN}: {disk.why}"),
        _row("temperature", d.temperature_c, "{:.0f} °C".format),
    ]


def _plan(p: Plan | NotEnoughMemory) -> list[_Row]:
    if isinstance(p, NotEnoughMemory):
        return [_Row("none", f"{show_bytes(p.missing_bytes)} missing", str(p))]
    return [
        _Row("needs", show_bytes(p.needed_bytes), f"at most, {show_bytes(p.margin_bytes)} more stay free"),
        _row("fits into", p.available_bytes, show_bytes),
        _row("reader", p.reader),
        _row("threads", p.threads),
        _row("callers", p.callers, "{} at a time".format),
        _row("provider", p.provider, short),
        _row("precision", p.precision),
        _row("window", p.window_tokens, "{} tokens".format),
        _row("batch", p.batch_contexts, lambda number: f"{number} context{'s' * (number > 1)}"),
        _row("answer cache", p.answer_cache_bytes, show_bytes),
        _row("encoding store", p.encoding_store_bytes, show_bytes),
        _row("persist", p.persist),
        _row("spinning", p.spinning, lambda on: "on" if on else "off"),
        *([] if p.mapped.value else [_row("mapping", p.mapped, lambda on: "on" if on else "off")]),
    ]


def _verdict(self_test: SelfTestLine) -> _Row:
    return _Row("self-test", {True: "passed", False: "FAILED", None: "not run"}[self_test.passed], self_test.text)


def _row(name: str, member: Reading[Any] | Choice[Any] | Provider, show: Callable[[Any], str] = str) -> _Row:
    return _Row(name, _UNKNOWN if member.value is None else show(member.value), member.reason)


def _names(value: tuple[str, ...], *, drop: str = "") -> str:
    return " ".join(name.replace(drop, "") for name in value) or "none"
