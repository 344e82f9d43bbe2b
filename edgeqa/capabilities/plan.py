"""`make_plan`: what edgeqa does with a device. Capabilities, a bundle's needs and overrides in, a `Plan` out. Pure.

Every choice has a reason that a person can read. Where memory is short, the batch shrinks first, then the caches, then
the windows; a plan that does not fit even then is refused, with the number of bytes that are missing. An override is
never shrunk: it fits, or the refusal names it. Nothing is shrunk for the careful reader unless it was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from edgeqa.capabilities import MIB, MIN_WINDOW_TOKENS, Overrides, Persist, show_bytes
from edgeqa.capabilities.footprint import (
    TIMED_TOKENS,
    WINDOW_TOKENS,
    ModelNeeds,
    Sizes,
    Tried,
    address_bytes,
    memory_bytes,
    second_reader_bytes,
)
from edgeqa.capabilities.precision import AT, CPU, is_x86, precision, short
from edgeqa.errors import NotEnoughMemory, OptionError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from edgeqa.capabilities.device import Capabilities, Reading

USEFUL_THREADS = 4  # with more threads, those of a small model wait for each other more than they work
BATCH_CONTEXTS = 16
SPARE_CALLERS = 2  # ready to take over a core while others work in Python
ASSUMED_MEMORY_BYTES = 512 * MIB  # if the memory is unknown, this is that of the smallest board
ANSWER_CACHE_PERCENT, MIN_CACHE_BYTES, MAX_CACHE_BYTES = 4, 8 * MIB, 256 * MIB
ENCODING_STORE_PERCENT = 8
WINDOW_STEP_TOKENS = 32
MIN_ANSWER_CACHE_BYTES = 2 * MIB  # some thousand answers
MIN_DISK_CACHE_BYTES = 1 * MIB  # the smallest map that the cache makes
# So much stays free for other programs, and for errors of the estimate (runs differ by 5 MiB).
MARGIN_PERCENT, MIN_MARGIN_BYTES = 10, 16 * MIB
ADDRESS_MARGIN_BYTES = 64 * MIB
CACHE_ADDRESS_BYTES = 24 * MIB  # an open answer cache takes so much besides its map: a thread, locks
IN_TIME_MS = 250.0  # how long the careful reader may take for a passage
# The cache needs mmap and file locks, which cannot be trusted over a network or through FUSE.
_REMOTE = ("nfs", "cifs", "smb", "9p", "fuse", "afs", "ceph", "lustre", "glusterfs", "virtiofs")


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """One decision, and the reason for it, for a person to read."""

    value: T
    reason: str


@dataclass(frozen=True, slots=True)
class Provider:
    """The provider that computes, and why."""

    value: str
    """The provider's name, as onnxruntime has it."""
    reason: str
    precision: str
    """The precision of the graphs."""
    tried: tuple[Tried, ...] = ()
    takes_bytes: int = 0
    """Bytes that it takes more than the CPU with the model's own graphs."""
    asked_for: str | None = None
    """The name that it was asked for by."""

    def to_json(self) -> dict[str, Any]:
        """Returns the value that `edgeqa capabilities --json` prints as `provider`."""
        return {"name": self.value, "reason": self.reason, "tried": [one.to_json() for one in self.tried]}


@dataclass(frozen=True, slots=True)
class Careful:
    """The careful reader, as far as a plan has to know it."""

    needs: ModelNeeds | None = None
    """The needs of its model; None where there is no careful reader to ask."""
    why_not: str = "not asked for"
    passage_ms: float | None = None
    """How long it reads a passage of TIMED_TOKENS on the device; None where it was not timed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a device: all that edgeqa chooses for it."""

    threads: Choice[int]
    batch_contexts: Choice[int]
    """Contexts prepared and held at a time; the graphs are fed one a run, so that none depends on its neighbours."""
    window_tokens: Choice[int]
    precision: Choice[str]
    """"int8", "int8-u8u8" (int8 with exact products on x86 without VNNI) or "float32"; with a provider, "int8@NAME"."""
    provider: Provider
    """The execution provider that computes."""
    answer_cache_bytes: Choice[int]
    encoding_store_bytes: Choice[int]
    persist: Choice[Persist]
    callers: Choice[int]
    """Questions that are read at a time; where there are several, each on one thread."""
    spinning: Choice[bool]
    reader: Choice[Literal["fast", "careful"]]
    """The reader that decides: the fast one alone, or the careful one, on passages that the fast one found."""
    mapped: Choice[bool]
    """Whether files are mapped into memory: weights, the word index, remembered answers. Otherwise they are read."""
    needed_bytes: int
    """The bytes that are needed with one caller at a time."""
    careful_bytes: int
    """Bytes for the careful reader, within `needed_bytes` or beyond them; 0 where there is none."""
    available_bytes: Choice[int]
    margin_bytes: int


def make_plan(
    device: Capabilities,
    needs: ModelNeeds,
    overrides: Overrides | None = None,
    careful: Careful | None = None,
    provider: Provider | None = None,
    *,
    holds_cache: bool = False,
) -> Plan:
    """Returns the plan for `device`.

    Args:
        device: what it has.
        needs: of the model that routes and reads first.
        overrides: what the user wants.
        careful: what is known of the careful reader.
        provider: the execution provider that was chosen, by what was tried.
        holds_cache: whether this process has the answer cache open.

    Raises:
        NotEnoughMemory: if the smallest plan does not fit; it has the figures.
        OptionError: for an override that no device could follow.
    """
    wanted = overrides or Overrides()
    _check(device, needs, wanted)
    mapped = _mapped(wanted)
    if not mapped.value:
        needs = replace(needs, unmapped_bytes=needs.unmapped_bytes + needs.file_bytes)
        if wanted.persist != "off":
            wanted = wanted.but(persist="memory")
    available = _available(device, wanted)
    total_bytes = wanted.budget_bytes or device.memory_total_bytes.value or available.value
    persist, cache = _answer_cache(device, wanted, total_bytes)
    store = _encoding_store(needs, total_bytes)
    full = {
        "batch_contexts": _or(wanted.batch_contexts, Choice(BATCH_CONTEXTS, "default")),
        "window_tokens": _or(wanted.window_tokens, _window(needs)),
        "answer_cache_bytes": cache,
        "encoding_store_bytes": _or(wanted.encoding_store_bytes, store),
    }
    careful = careful or Careful()
    careful_bytes = 0 if careful.needs is None else second_reader_bytes(careful.needs)
    if careful.needs is not None and not mapped.value:
        careful_bytes += careful.needs.file_bytes
    is_sure = wanted.reader == "careful" and careful_bytes > 0
    room = Room(available.value, device.address_space_bytes.value, careful_bytes if is_sure else 0, holds_cache)
    threads = _threads(device, wanted)
    full_sizes = Sizes(**{name: choice.value for name, choice in full.items()})
    provider = provider or Provider(CPU, "no other was tried here: edgeqa capabilities does", needs.precision)
    taking = replace(needs, unmapped_bytes=needs.unmapped_bytes + provider.takes_bytes)
    lacking = room.missing_bytes(taking, full_sizes, threads.value) if provider.takes_bytes else 0
    if lacking > 0 and provider.asked_for is None:
        missing = f"{show_bytes(lacking)} missing for {short(provider.value)}, which is {provider.reason}"
        provider = Provider(CPU, missing, needs.precision, provider.tried)
    else:
        needs = taking
    sizes, threads_that_fit = fit(
        needs,
        full_sizes,
        threads.value,
        room,
        # A part that takes no memory is never the reason why a plan does not fit.
        {name: value for name, value in wanted.given().items() if value not in (0, "off", "fast", "auto", "cpu")},
    )
    shrunk = f"shrunk to fit {show_bytes(available.value)}"
    if device.address_space_bytes.value is not None:
        shrunk += f" of memory and {show_bytes(device.address_space_bytes.value)} of address space"

    def fitted(name: str) -> Choice[int]:
        value: int = getattr(sizes, name)
        return full[name] if value == full[name].value else Choice(value, shrunk)

    used = threads if threads_that_fit == threads.value else Choice(threads_that_fit, shrunk)
    beside = replace(room, taken_bytes=careful_bytes)
    reader = _reader(device, wanted, careful, careful_bytes, beside.missing_bytes(needs, sizes, used.value))
    room = beside if reader.value == "careful" else room
    most_callers = (device.cores.value or used.value) + SPARE_CALLERS if provider.value == CPU else 1
    callers = callers_that_fit(needs, sizes, used.value, room, most_callers)
    more_bytes = memory_bytes(needs, replace(sizes, callers=callers)) - memory_bytes(needs, sizes)
    return Plan(
        threads=used,
        batch_contexts=fitted("batch_contexts"),
        window_tokens=fitted("window_tokens"),
        precision=precision_on(provider, device, needs.precision),
        provider=provider,
        answer_cache_bytes=fitted("answer_cache_bytes"),
        encoding_store_bytes=fitted("encoding_store_bytes"),
        persist=persist,
        callers=Choice(callers, _why_callers(callers, more_bytes, provider)),
        spinning=_spinning(used.value),
        mapped=mapped,
        reader=reader,
        needed_bytes=memory_bytes(needs, sizes) + room.taken_bytes,
        careful_bytes=careful_bytes,
        available_bytes=available,
        margin_bytes=room.margin_bytes,
    )


def precision_on(provider: Provider, device: Capabilities, own: str) -> Choice[str]:
    """Returns the precision path of a model whose graphs have the precision `own`, on a provider."""
    path, why = precision(own, device.machine.value, device.cpu_flags.value)
    if provider.precision != own:
        path, why = provider.precision, f"of graphs made from those in {own}"
    elif provider.value == CPU:
        return Choice(path, why)
    return Choice(f"{path}{AT}{provider.value}", why)


def _check(device: Capabilities, needs: ModelNeeds, wanted: Overrides) -> None:
    most = {"window_tokens": (needs.max_context_tokens, "for this model")}
    if device.pointer_bits.value == 32:
        most["answer_cache_bytes"] = (MAX_CACHE_BYTES, "on 32 bits, where address space is short")
    for name, (limit, why) in most.items():
        value: int | None = getattr(wanted, name)
        if value is not None and value > limit:
            raise OptionError(name, value, f"at most {limit} {why}")


def _encoding_store(needs: ModelNeeds, total_bytes: int) -> Choice[int]:
    if needs.kind == "joint":
        return Choice(0, "a joint model makes nothing of a passage that could be kept")
    return Choice(
        _share(total_bytes, ENCODING_STORE_PERCENT), f"{ENCODING_STORE_PERCENT} % of {show_bytes(total_bytes)}"
    )


def _or(override: int | None, choice: Choice[int]) -> Choice[int]:
    return choice if override is None else Choice(override, "you asked for it")


def _window(needs: ModelNeeds) -> Choice[int]:
    if needs.max_context_tokens < WINDOW_TOKENS:
        return Choice(needs.max_context_tokens, "the model's limit")
    return Choice(WINDOW_TOKENS, "default")


def _share(total_bytes: int, percent: int) -> int:
    return min(max(total_bytes * percent // 100, MIN_CACHE_BYTES), MAX_CACHE_BYTES)


def _available(device: Capabilities, wanted: Overrides) -> Choice[int]:
    found, total = device.memory_available_bytes, device.memory_total_bytes
    if wanted.budget_bytes is not None:
        return Choice(wanted.budget_bytes, "your budget")
    if found.value is not None:
        return Choice(found.value, found.reason)
    if total.value is not None:
        return Choice(total.value // 2, "half of the total, because what is available is unknown")
    return Choice(ASSUMED_MEMORY_BYTES, "assumed, because the memory is unknown")


def _threads(device: Capabilities, wanted: Overrides) -> Choice[int]:
    if wanted.threads is not None:
        return Choice(wanted.threads, "you asked for it")
    found: Reading[int] = device.cores
    if found.value is None:
        return Choice(1, f"the number of cores is {found.reason}")
    if found.value > USEFUL_THREADS:
        return Choice(USEFUL_THREADS, f"{found.value} cores; more than {USEFUL_THREADS} threads gain nothing")
    return Choice(found.value, found.reason)


def _why_callers(callers: int, more_bytes: int, provider: Provider) -> str:
    if provider.value != CPU:
        return f"{short(provider.value)} has threads of its own, and one set of them"
    if callers == 1:
        return "no memory for more"
    return f"where several ask at once, one thread each; takes {show_bytes(more_bytes)} more"


def _spinning(threads: int) -> Choice[bool]:
    # Threads spin only for moments. With onnxruntime's own time, the threads of two graphs took 72 to 165 ms for a
    # context that otherwise takes 40 ms, on 2 cores.
    if threads == 1:
        return Choice(value=False, reason="one thread has none to wait for")
    return Choice(value=True, reason="for microseconds, between operators; asleep between runs")


def _reader(
    device: Capabilities, wanted: Overrides, careful: Careful, takes_bytes: int, missing_bytes: int
) -> Choice[Literal["fast", "careful"]]:
    if wanted.reader == "fast":
        return Choice("fast", "you asked for it")
    if careful.needs is None:
        return Choice("fast", careful.why_not)
    costs = f"takes {show_bytes(takes_bytes)} more"
    if careful.passage_ms is not None:
        costs += f", and {careful.passage_ms:.0f} ms for a passage of {TIMED_TOKENS} tokens here"
    if wanted.reader == "careful":
        return Choice("careful", f"you asked for it; {costs}")
    if missing_bytes > 0:
        return Choice("fast", f"{show_bytes(missing_bytes)} missing for the careful one, which {costs}")
    if careful.passage_ms is None:
        # Without dot products, NEON does at most eight int8 products a cycle: four cores of 1.8 GHz would take 240 ms
        # for the products of MPNet-base alone, if they did nothing else.
        if not is_x86(device.machine.value) and not {"asimddp", "i8mm"} & set(device.cpu_flags.value or ()):
            return Choice("fast", f"without int8 dot products (asimddp), the careful one is too slow; it {costs}")
        return Choice("careful", f"the memory is there; {costs}; timed when it is first loaded")
    if careful.passage_ms > IN_TIME_MS:
        return Choice("fast", f"the careful one {costs}: more than {IN_TIME_MS:.0f} ms are too long")
    return Choice("careful", f"there is room: {costs}")


def _mapped(wanted: Overrides) -> Choice[bool]:
    if wanted.mmap is None:
        return Choice(value=True, reason="default")
    return Choice(wanted.mmap, "you asked for it" if wanted.mmap else "you asked for it: files are read, not mapped")


def _answer_cache(device: Capabilities, wanted: Overrides, total_bytes: int) -> tuple[Choice[Persist], Choice[int]]:
    share = Choice(_share(total_bytes, ANSWER_CACHE_PERCENT), f"{ANSWER_CACHE_PERCENT} % of {show_bytes(total_bytes)}")
    disk = device.home_free_bytes.value
    # A small cache that lasts is worth more than a large one that ends with the process.
    if disk is not None and 2 * MIN_DISK_CACHE_BYTES <= disk < 2 * share.value and not _is_remote(device):
        share = Choice(disk // 2, f"half of {show_bytes(disk)} free on disk")
    size = _or(wanted.answer_cache_bytes, share)
    if wanted.persist is not None:
        persist = Choice(wanted.persist, "you asked for it")
    elif not size.value:
        persist = Choice("off", "no bytes for answers")
    else:
        persist = _place(device, size.value)
    if persist.value == "off":
        size = Choice(0, "answers are not kept") if wanted.answer_cache_bytes is None else size
    return persist, size


def _is_remote(device: Capabilities) -> bool:
    return (device.home_file_system.value or "").startswith(_REMOTE)


def _place(device: Capabilities, size_bytes: int) -> Choice[Persist]:
    disk, kind, ram = device.home_free_bytes, device.home_file_system, device.ram_disk_free_bytes
    if disk.value is None:
        why = disk.reason
    elif disk.value < 2 * size_bytes:
        why = f"only {show_bytes(disk.value)} free on disk"
    elif _is_remote(device):
        why = f"{kind.value} is no local disk"
    else:
        return Choice("disk", f"{show_bytes(disk.value)} free in {disk.reason}")
    if ram.value is None:
        return Choice("off", f"{why}; {ram.reason}")
    if ram.value < size_bytes:
        return Choice("off", f"{why}; only {show_bytes(ram.value)} free in {ram.reason}")
    return Choice("memory", f"{why}; kept in {ram.reason}")


@dataclass(frozen=True, slots=True)
class Room:
    """The room that a plan must fit into."""

    available_bytes: int
    address_space_bytes: int | None
    """None if it is not limited."""
    taken_bytes: int = 0
    """Bytes of both that the careful reader takes."""
    holds_cache: bool = False
    """Whether the answer cache is mapped already: of address space, it takes nothing more."""

    @property
    def margin_bytes(self) -> int:
        """Bytes of the available memory that stay free."""
        return max(MIN_MARGIN_BYTES, self.available_bytes * MARGIN_PERCENT // 100)

    def missing_bytes(self, needs: ModelNeeds, sizes: Sizes, threads: int) -> int:
        """Returns by how much the sizes are too large for memory or address space; not above 0 if they fit."""
        missing = memory_bytes(needs, sizes) + self.taken_bytes + self.margin_bytes - self.available_bytes
        if self.address_space_bytes is None:
            return missing
        return max(missing, self.address_bytes(needs, sizes, threads) - self.address_space_bytes)

    def address_bytes(self, needs: ModelNeeds, sizes: Sizes, threads: int) -> int:
        """Returns the address space that the sizes take besides what is taken already, with its margin."""
        cache_bytes = sizes.answer_cache_bytes + CACHE_ADDRESS_BYTES if self.holds_cache else 0
        return address_bytes(needs, sizes, threads) - cache_bytes + self.taken_bytes + ADDRESS_MARGIN_BYTES


def fit(
    needs: ModelNeeds, wanted: Sizes, threads: int, room: Room, overrides: Mapping[str, object]
) -> tuple[Sizes, int]:
    """Returns sizes and threads that fit in the room; what is named in `overrides` is left as it is.

    Raises:
        NotEnoughMemory: if not even the smallest fit.
    """
    smallest = _smallest(wanted, overrides)
    if "threads" not in overrides:
        while threads > 1 and room.missing_bytes(needs, smallest, threads) > 0:
            threads -= 1
    sizes = _shrunk(needs, wanted, smallest, threads, room)
    if room.missing_bytes(needs, sizes, threads) > 0:
        raise _refusal(needs, smallest, threads, room, overrides)
    return sizes, threads


def callers_that_fit(needs: ModelNeeds, sizes: Sizes, threads: int, room: Room, most: int) -> int:
    """Returns the number of callers, at most `most`, that have room besides sizes that fit."""
    for callers in range(most, 1, -1):
        if room.missing_bytes(needs, replace(sizes, callers=callers), threads) <= 0:
            return callers
    return 1


def _smallest(wanted: Sizes, fixed: Collection[str]) -> Sizes:
    least = {
        "batch_contexts": 1,
        "window_tokens": MIN_WINDOW_TOKENS,
        "answer_cache_bytes": MIN_ANSWER_CACHE_BYTES,
        "encoding_store_bytes": 0,
    }
    # It never exceeds the wanted size: a model may be made for shorter contexts, a cache may be off.
    return Sizes(
        **{
            name: getattr(wanted, name) if name in fixed else min(value, getattr(wanted, name))
            for name, value in least.items()
        }
    )


def _shrunk(needs: ModelNeeds, wanted: Sizes, smallest: Sizes, threads: int, room: Room) -> Sizes:
    sizes = wanted

    def missing() -> int:
        return room.missing_bytes(needs, sizes, threads)

    while missing() > 0 and sizes.batch_contexts > smallest.batch_contexts:
        sizes = replace(sizes, batch_contexts=max(smallest.batch_contexts, sizes.batch_contexts // 2))
    # Encodings are cut before answers: an answer saves a whole reading, an encoding half of one.
    if missing() > 0:
        kept = max(smallest.encoding_store_bytes, sizes.encoding_store_bytes - missing())
        sizes = replace(sizes, encoding_store_bytes=kept)
    if missing() > 0:
        kept = max(smallest.answer_cache_bytes, sizes.answer_cache_bytes - missing())
        sizes = replace(sizes, answer_cache_bytes=kept)
    while missing() > 0 and sizes.window_tokens > smallest.window_tokens:
        shorter = max(smallest.window_tokens, sizes.window_tokens - WINDOW_STEP_TOKENS)
        sizes = replace(sizes, window_tokens=shorter)
    return sizes


def _refusal(
    needs: ModelNeeds, smallest: Sizes, threads: int, room: Room, overrides: Mapping[str, object]
) -> NotEnoughMemory:
    needed = memory_bytes(needs, smallest) + room.taken_bytes
    # This is the least that leaves `needed` beside the margin, which grows with it.
    enough = max(needed + MIN_MARGIN_BYTES, (needed - 1) * 100 // (100 - MARGIN_PERCENT) + 1)
    if enough > room.available_bytes:
        return NotEnoughMemory("memory", enough, room.available_bytes, overrides)
    address = room.address_bytes(needs, smallest, threads)
    return NotEnoughMemory("address space", address, room.address_space_bytes or 0, overrides)
