"""`Worker`: it serves the slots of a Valkey server: it follows arrivals, indexes, encodes, searches and reads.

In: a cluster, the server that it is beside, a folder of its own. Out: replies to the requests of `nodes`, and the map
of slots to workers. One thread follows the cluster: the slots to serve here, their changes, and raw documents, which it
tokenises and puts into Valkey like any others. Another thread renews the worker's entry each second, and watches over
others, however busy the first one is. All data of a worker is derived, and can be made again from Valkey.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from edgeqa.asking.documents import from_text
from edgeqa.asking.records import key_in
from edgeqa.cluster import keys
from edgeqa.cluster.documents import NewDocument
from edgeqa.cluster.holding import Holding
from edgeqa.cluster.membership import RENEWED_S, Member, assigned, living, new_id
from edgeqa.cluster.nodes import MAX_BODY_BYTES, PREFIX, Found, Read, ReadReply, Search, SearchReply
from edgeqa.cluster.statistics import Indexed, Published, frequencies
from edgeqa.cluster.turns import Turns
from edgeqa.collection.naming import Address
from edgeqa.collection.snapshot import EncoderIdentity
from edgeqa.digests import blake2b
from edgeqa.errors import ClusterError, EdgeQAError
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgeqa.cluster.documents import HeldPassage, StoredDocument
    from edgeqa.cluster.runtime import ClusterQA
    from edgeqa.cluster.valkey import Place

GROUP = "edgeqa"
FOLLOWED_S = 0.05
LOOKED_S = 0.5
CLAIMED_S, LEFT_MS = 5.0, 10_000
REPAIRED_S = 10.0
ENTRIES_AT_ONCE = 64
PASSAGES_AT_ONCE, MOST_PASSAGES_AT_ONCE = 512, 4096
"""Passages that are indexed in one step. Where many wait, each step has twice as many as the one before, up to the
most: the first answers come soon, and the rest takes less."""
ENCODED_AT_ONCE = 16
"""Passages that are encoded as they arrive, and in one step of what has no encodings: what comes meanwhile waits."""
PATIENCE_S = 2.0
"""For what is to be indexed: what cannot be had of one server now holds up what others have."""
MAX_RAW_BYTES = 16 << 20
BYTES_AT_ONCE = 1 << 20
"""Raw texts that are put into Valkey in one transaction, if the first of them is no longer."""
DOUBTED_S = 10.0
_AGAIN_S = 0.5
_PUBLISHED_S, _RENEWED_S = 1.0, 20.0


class Version(NamedTuple):
    """The part of a tag's changes that tells one state of it from another."""

    changes: int
    last: str
    """The mark of the last change: after a failover the number of changes may be the same, and the changes others."""


class Worker:
    """A worker of a cluster. Made, started, told to stop."""

    def __init__(
        self,
        qa: ClusterQA,
        directory: Path,
        *,
        node: Place | None,
        http: tuple[str, int],
        redis: tuple[str, int] | None,
        tls: bool,
        encodings_bytes: int | None,
        say: Callable[[str], None],
    ) -> None:
        """Opens its collection, and finds its place in the cluster.

        Args:
            qa: a runtime for the cluster.
            directory: the directory of its collection.
            node: the server that it is beside; None for the master with the fewest workers.
            http: the address at which others reach it.
            redis: the address at which it speaks the Redis protocol, for others.
            tls: whether TLS alone is spoken at both.
            encodings_bytes: how much disk encodings may take; None for a share of the free space.
            say: a function that gets reports.

        Raises:
            ClusterError: if the cluster cannot be used.
            CollectionBusy: if another worker has the folder.
            BundleError: if the model cannot be used on this device.
            NotEnoughMemory: if there is no room for it: others are to serve what this worker could not read.
        """
        self._qa, self._say = qa, say
        self._valkey, self._documents, self._membership = qa.valkey, qa.documents, qa.membership
        qa.check()
        self._equipment = qa.equipment
        _ = self._equipment.plan  # it refuses where there is no room, also where a former test of the model is known
        self._documents.bind(EncoderIdentity.of(qa.bundle))
        self._directory, self._encodings_bytes = directory, encodings_bytes
        self._holding = self._opened()
        try:
            if self._equipment.device.address_space_bytes.value is not None:
                _ = self._equipment.reading  # what is mapped by now is there when it is needed
            self._fingerprint = self._equipment.fingerprint
        except BaseException:
            self._holding.close()
            raise
        self._node = node or self._freest()
        slots = frozenset(slot for slot, master in enumerate(self._valkey.slots()) if self._is_mine(master))
        self.id = new_id(slots or frozenset(range(keys.SLOTS)))
        self._http, self._redis, self._tls = http, redis, tls
        self._published = Published(self._valkey)
        self._documents.everywhere(("fingerprints", "SADD", self._fingerprint))
        qa.secrets.known()  # made now, if there is none: later a server may be full
        self._lock = threading.Lock()
        self._mine: frozenset[int] = frozenset()
        self._served: frozenset[int] = frozenset()
        self._served_ranges: tuple[tuple[int, int], ...] = ()
        self._served_counts = (0, 0, 0)
        """How many passages, and terms in texts and in headings, there were when the served slots were computed."""
        self._served_for: Any = None
        """What the served slots were computed for."""
        self._assigned_for: Any = None
        """What the slots to serve were computed for."""
        self._turns = Turns()
        self._at_once = PASSAGES_AT_ONCE
        self._changes: dict[str, Version] = {}
        """The indexed version of each tag."""
        self._content, self._said = 0, (-1, -1)
        self._number = 0
        self._room_bytes = self._holding.room_bytes
        self._members: tuple[Member, ...] = ()
        self._grouped: set[str] = set()
        self._doubted: dict[str, float] = {}
        """Tags that seem to have had fewer changes than before, with the time since then."""
        self._damaged: dict[str, set[StoredDocument]] = defaultdict(set)
        """Documents, by tag, whose passages were not there."""
        self._lacking: dict[str, tuple[Version, float]] = {}
        """Tags that lack these alone, with the time at which they are looked for again."""
        self._next = dict.fromkeys(("look", "claim", "publish", "renew", "repair"), 0.0)
        self._stopping = threading.Event()
        self._renewal = threading.Event()
        self._threads = [
            threading.Thread(target=self._live, name="edgeqa-lives", daemon=True),
            threading.Thread(target=self._follow, name="edgeqa-follows", daemon=True),
        ]
        qa.own = self.id, self

    def _opened(self) -> Holding:
        return Holding(self._directory, self._qa.bundle, lambda: self._equipment.reading, self._encodings_bytes)

    def start(self) -> None:
        """Begins to follow the cluster, and to renew its entry."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Deletes its entry, and ends."""
        self._stopping.set()
        self._renewal.set()
        for thread in self._threads:
            thread.join(timeout=30)
        with contextlib.suppress(ClusterError):
            self._membership.leave(self.member)
        self._holding.close()

    # --- who it is ---------------------------------------------------------------------------------------------------

    @property
    def member(self) -> Member:
        """Its own entry."""
        with self._lock:
            return Member(
                self.id,
                self._http,
                self._redis,
                self._node,
                self._served_ranges,
                f"{self._content:032x}",
                *self._served_counts,
                self._fingerprint,
                self._number,
                self._room_bytes,
                int(time.time()),
                self._tls,
            )

    def _is_mine(self, master: Place | None) -> bool:
        return master is not None and (master == self._node or self._node in self._valkey.replicas(master))

    def _freest(self) -> Place:
        """Returns the master with the fewest workers beside it."""
        beside = Counter(one.node for one in living(self._membership))
        return min(self._valkey.masters, key=lambda master: (beside[master], master))

    def _live(self) -> None:
        while not self._stopping.is_set():
            try:
                member = self.member
                if self._membership.renew(member):
                    self._qa.secrets.said_s = member.now_s
                self._membership.bury(self.id)
            except ClusterError as error:
                self._say(f"cannot say that this worker lives: {error}")
            self._renewal.wait(RENEWED_S)
            self._renewal.clear()

    # --- following ---------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        said = ""
        while not self._stopping.is_set():
            pause_s = FOLLOWED_S
            try:
                self._look()
                is_busy = self._step()
                if is_busy:
                    pause_s = 0.0
                wrong = ""
            except EdgeQAError as error:
                wrong = f"{error}\n  hint: {error.hint}"
            except Exception as error:
                wrong = f"internal error: {type(error).__name__}: {error}\n  hint: this is a bug, please report it"
            if wrong and wrong != said and not self._stopping.is_set():  # once while it lasts
                self._say(wrong)
            said = wrong
            self._stopping.wait(_AGAIN_S if wrong else pause_s)

    def _is_time(self, what: str, every_s: float) -> bool:
        now = time.monotonic()
        if now < self._next[what]:
            return False
        self._next[what] = now + every_s
        return True

    def _look(self) -> None:
        """Finds the slots to serve here."""
        if self._holding.is_doubtful:
            self._open_again()
        if not self._is_time("look", LOOKED_S):
            return
        self._valkey.refresh()
        if not self._directory.is_dir():
            self._say(f"{self._directory} is gone, and is made again")
            self._open_again()
        self._room_bytes = self._holding.room_bytes
        member = self.member
        others = [one for one in self._membership.members() if one.id != self.id]
        self._members = (*others, member)
        slots = self._valkey.slots()
        replicas = {master: self._valkey.replicas(master) for master in self._valkey.masters}
        given = [(one.id, one.node, one.slots, one.room_bytes) for one in self._members], slots, replicas
        if given != self._assigned_for:
            self._assigned_for = given
            mine = assigned(self._members, slots, replicas)[self.id]
            if mine != self._mine:
                self._say(f"serving {len(mine)} of {keys.SLOTS} slots, beside {self._node[0]}:{self._node[1]}")
                self._mine = mine
        if self._is_time("repair", REPAIRED_S) and (tags := self._documents.tags()):
            self._documents.everywhere(("tags", "SADD", *tags))  # in case they could not be noted at first

    def _open_again(self) -> None:
        """Opens its collection again, and compares all that is there with Valkey; makes it again if it is gone."""
        for tag in [*self._changes]:
            self._note(tag, None)
        self._serve(self._documents.tags(not_older_s=1.0))
        terms = keys.of_terms(self.id)
        self._valkey.do(terms, "DEL", terms, patience_s=PATIENCE_S)
        with contextlib.suppress(EdgeQAError, OSError):
            self._holding.close()
        self._holding = self._opened()

    def _step(self) -> bool:
        """Does the next piece of work; tells whether there may be more."""
        every = self._documents.tags(not_older_s=1.0)
        tags = [tag for tag in every if keys.slot_of_tag(tag) in self._mine]
        followed = [tag for tag in every if tag in self._changes or keys.slot_of_tag(tag) in self._mine]
        turn = self._turns.next(followed, self._changes)
        changed = self._changed(turn)
        for tag, _ in changed:
            self._turns.note(tag)
        is_moved = bool(changed) and self._reconcile(changed)
        self._let_go(every)
        self._publish()  # before the entry says that these terms are here
        self._serve(every)
        raw = self._raw(tags, set(turn))
        if is_moved or raw:
            return True
        return self._holding.encode_some(ENCODED_AT_ONCE)

    def _changed(self, tags: Sequence[str]) -> list[tuple[str, Version]]:
        """Returns the tags that have changed, with their versions."""
        at = [[keys.of_tag(tag, what) for what in ("changes", "change")] for tag in tags]
        found = self._valkey.many([(both[0], ("MGET", *both)) for both in at], patience_s=0.0)
        changed = []
        for tag, raw in zip(tags, found, strict=True):
            if not isinstance(raw, ClusterError):
                version = Version(int(raw[0] or 0), (raw[1] or b"").decode("utf-8", "replace"))
                if self._changes.get(tag) == version or not self._is_believed(tag, version):
                    continue
                looked_at, again = self._lacking.get(tag, (None, 0.0))
                if looked_at != version or time.monotonic() > again:
                    changed.append((tag, version))
        return changed

    def _is_believed(self, tag: str, version: Version) -> bool:
        """Tells whether to believe a number of changes; one lower than before must still be reported after a while.

        A master that comes back empty reports too few changes, before it learns that a replica has taken its place.
        """
        if tag not in self._changes or version.changes >= self._changes[tag].changes:
            self._doubted.pop(tag, None)
            return True
        return time.monotonic() - self._doubted.setdefault(tag, time.monotonic()) > DOUBTED_S

    def _reconcile(self, changed: Sequence[tuple[str, Version]]) -> bool:
        """Brings the collection up to date for changed tags, in one commit; tags that are new here come first.

        One call does at most one commit's worth of work; the tags that are left stay marked as changed. A damaged
        document keeps its tag from being wholly indexed, and nothing else: it is looked for again at times.

        Returns:
            Whether the next call may find more to do.
        """
        first = sorted(changed, key=lambda one: one[0] in self._changes)
        new_tags = any(tag not in self._changes for tag, _ in first)
        wanted: list[tuple[str, StoredDocument]] = []
        drops: list[tuple[str, str]] = []
        done: dict[str, Version] = {}
        count = 0
        for tag, _ in first:
            if self._lacking.pop(tag, None) is not None:
                del self._damaged[tag]
        there = self._documents.of_tags([tag for tag, _ in first], patience_s=PATIENCE_S)
        for (tag, version), (_, listed) in zip(first, there, strict=False):  # it may end before
            held = self._holding.documents.get(tag, {})
            names = {one.name for one in listed}
            drops += [(tag, name) for name in held if name not in names]
            damaged = self._damaged[tag] = self._damaged[tag].intersection(listed)
            new = [one for one in listed if not (_is_same(one, held.get(one.name)) or one in damaged)]
            some = list(_no_more(new, self._at_once - count if wanted else self._at_once))
            wanted += [(tag, one) for one in some]
            count += sum(one.contexts for one in some)
            if len(some) == len(new):
                done[tag] = version
            if count >= self._at_once or len(some) < len(new):
                break
        puts, wrong = self._fetched(wanted, done)
        if puts or drops:
            # Passages that are taken over are answered from tokens first.
            self._holding.apply(puts, drops, encode=count <= ENCODED_AT_ONCE and not new_tags)
        is_full = len(puts) == len(wanted) and 2 * count > self._at_once
        self._at_once = min(2 * self._at_once, MOST_PASSAGES_AT_ONCE) if is_full else PASSAGES_AT_ONCE
        self._note_all(done)
        if wrong is not None:
            raise wrong
        return bool(wanted or drops or done)

    def _fetched(
        self, wanted: Sequence[tuple[str, StoredDocument]], done: dict[str, Version]
    ) -> tuple[list[tuple[str, StoredDocument, list[HeldPassage]]], ClusterError | None]:
        """Returns documents with their passages, and why others cannot be had, whose tags it takes out of `done`."""
        puts: list[tuple[str, StoredDocument, list[HeldPassage]]] = []
        wrong: ClusterError | None = None
        found = self._documents.passages_of(wanted, patience_s=PATIENCE_S)
        for (tag, document), passages in zip(wanted, found, strict=True):
            if isinstance(passages, ClusterError):
                wrong = passages
                done.pop(tag, None)
            elif len(passages) < document.contexts:  # changed meanwhile, or damaged
                self._damaged[tag].add(document)
            else:
                puts.append((tag, document, passages))
        return puts, wrong

    def _note_all(self, done: Mapping[str, Version]) -> None:
        """Notes the versions of tags of which all is indexed that can be."""
        for tag, version in done.items():
            if not self._damaged[tag]:
                self._note(tag, version)
            elif (tag, version) in self._changed([tag]):  # it is not that they have changed meanwhile
                self._note(tag, None)  # else what is remembered of its former version would pass for whole
                self._lacking[tag] = version, time.monotonic() + REPAIRED_S

    def _note(self, tag: str, version: Version | None) -> None:
        """Notes which version of a tag is indexed; None means that it is no longer served here."""
        with self._lock:
            if (former := self._changes.pop(tag, None)) is not None:
                self._content -= _tag_digest(tag, former)
            if version is not None:
                self._changes[tag] = version
                self._content += _tag_digest(tag, version)
            self._content %= 1 << 128

    def _let_go(self, tags: Sequence[str]) -> None:
        """Drops documents that another worker serves by now; before, it says that it serves them no more.

        Args:
            tags: all tags.
        """
        others = [one for one in self._members if one.id != self.id]
        drops: list[tuple[str, str]] = []
        own = {tag for tag in tags if keys.slot_of_tag(tag) in self._mine}
        for tag in {*self._holding.documents, *self._changes} - own:
            if any(one.serves(keys.slot_of_tag(tag)) for one in others):
                self._note(tag, None)
                drops += [(tag, name) for name in self._holding.documents.get(tag, {})]
        if drops:
            self._serve(tags)
            self._holding.apply([], drops, encode=False)

    def _serve(self, tags: Sequence[str]) -> None:
        """Publishes the served slots: those of this worker, without slots of tags that are not wholly indexed yet.

        Args:
            tags: all tags, also those of others: two may have one slot.
        """
        waiting = {keys.slot_of_tag(tag) for tag in tags if tag not in self._changes}
        kept = {keys.slot_of_tag(tag) for tag in self._changes}
        served = self._served
        if (self._mine, waiting, kept) != self._served_for:
            served, self._served_for = (self._mine | kept) - waiting, (self._mine, waiting, kept)
        content, counts = self._content, self._holding.counts
        said = content, self._number
        if served is not self._served or said != self._said:
            ranges = tuple(keys.ranges_of(served))
            with self._lock:
                self._served, self._served_ranges = served, ranges
                self._served_counts = counts.contexts, counts.text_terms, counts.heading_terms
            self._said = said
            self._renewal.set()

    # --- what comes raw ----------------------------------------------------------------------------------------------

    def _raw(self, tags: Sequence[str], turn: Container[str]) -> bool:
        """Tokenises raw documents and puts them into Valkey; tells whether there were any.

        Args:
            tags: all tags of this worker; at times, what another one has left unfinished is looked for in each.
            turn: the tags in which new ones are looked for now.
        """
        if not tags:
            return False
        self._group(tags)
        claims = self._is_time("claim", CLAIMED_S)
        commands: list[tuple[str, tuple[Any, ...]]] = []
        for tag in tags:
            key = keys.of_tag(tag, "arrivals")
            if claims:
                left = ("XAUTOCLAIM", key, GROUP, self.id, LEFT_MS, "0-0", "COUNT", ENTRIES_AT_ONCE)
                commands.append((key, left))
            if tag in turn:
                new = ("XREADGROUP", "GROUP", GROUP, self.id, "COUNT", ENTRIES_AT_ONCE, "STREAMS", key, ">")
                commands.append((key, new))
        found = self._valkey.many(commands, patience_s=0.0)
        done: list[tuple[str, tuple[Any, ...]]] = []
        try:
            for (key, command), reply in zip(commands, found, strict=True):
                if isinstance(reply, ClusterError):
                    if "NOGROUP" in str(reply):
                        self._grouped.clear()
                    continue
                tag = key[key.index("{") + 1 : key.index("}")]
                if entries := _entries(command[0], reply):
                    self._turns.note(tag)
                for some in _no_longer(entries, BYTES_AT_ONCE):
                    self._put_raw(tag, [fields for _, fields in some])
                    done += [
                        (key, (what, key, *rest))
                        for entry, _ in some
                        for what, *rest in (("XACK", GROUP, entry), ("XDEL", entry))
                    ]
        finally:
            self._valkey.many(done, patience_s=0.0)  # what cannot be taken off now comes again, and changes nothing
        return bool(done)

    def _group(self, tags: Sequence[str]) -> None:
        """Makes sure that the streams have a group of consumers."""
        new = [tag for tag in tags if tag not in self._grouped]
        at = [keys.of_tag(tag, "arrivals") for tag in new]
        made = self._valkey.many([(key, ("XGROUP", "CREATE", key, GROUP, "0", "MKSTREAM")) for key in at])
        for tag, one in zip(new, made, strict=True):
            if not isinstance(one, ClusterError) or "BUSYGROUP" in str(one):
                self._grouped.add(tag)

    def _put_raw(self, tag: str, entries: Iterable[dict[bytes, bytes]]) -> None:
        """Puts raw documents into Valkey; other entries only announce documents, which the tag's changes show, too."""
        from edgeqa.contexts.windows import all_windows

        splitter = self._qa.splitter
        new: dict[str, NewDocument] = {}  # the last one of a name is the one that stays
        for fields in entries:
            if b"text" not in fields or b"name" not in fields:
                continue
            if not fields[b"name"]:
                self._say(f"left out what arrived in {tag}: it has no name")
                continue
            if len(fields[b"text"]) > MAX_RAW_BYTES:
                self._say(f"left out what arrived in {tag}: it is longer than {MAX_RAW_BYTES >> 20} MiB")
                continue
            try:
                name, text, title = (fields.get(one, b"").decode() for one in (b"name", b"text", b"title"))
            except UnicodeDecodeError:
                self._say(f"left out what arrived in {tag}: it is not UTF-8")
                continue
            for blocks in from_text(text, name).records():
                windows = list(all_windows(blocks, splitter.tokenizer.tokenize, splitter.limits))
                new[name] = NewDocument(name, title, name, windows)
        if new:
            self._documents.put_all(tag, list(new.values()))

    def _publish(self) -> None:
        """Publishes the counts of terms."""
        if self._is_time("publish", _PUBLISHED_S) and self._published.number(self.id) != self._number:
            self._holding.counts.all_changed()  # a failover has lost some of the counts
        changes = self._holding.counts.changes()
        if changes or not self._number or self._is_time("renew", _RENEWED_S):
            try:
                self._published.publish(self.id, changes, self._number + 1)
            except ClusterError:
                self._holding.counts.all_changed()
                raise
            self._number += 1

    # --- being asked -------------------------------------------------------------------------------------------------

    def owner(self, slot: int) -> Member | None:
        """Returns the worker that serves a slot; None if there is none."""
        if slot in self._served:
            return self.member
        return next((one for one in self._members if one.serves(slot) and one.id != self.id), None)

    def slot_of(self, key: bytes) -> int:
        """Returns the slot of a key."""
        return keys.slot_of(key)

    def _serving(self) -> tuple[frozenset[int], tuple[tuple[int, int], ...]]:
        """Returns the slots that it serves now, and their ranges."""
        with self._lock:
            return self._served, self._served_ranges

    def members(self) -> tuple[Member, ...]:
        """Returns all living workers, as they were last seen."""
        return self._members

    def search(self, message: Search) -> SearchReply:
        """Searches the index of this worker."""
        content = f"{self._content:032x}"
        served, ranges = self._serving()
        most = max(1, min(message.most, 100))
        part = self._holding.part(message.within) if message.within else None
        found = self._holding.search(message.question, most, part) if message.terms else self._holding.first(most, part)
        language = self._qa.bundle.manifest.language
        replies = []
        for address, context in found:
            indexed = Indexed.of(context.text, context.title, context.heading, language)
            in_text, in_heading = frequencies(indexed, message.terms)
            lengths = sum(indexed.text.values()), sum(indexed.heading.values())
            where = address.document, address.tag, address.number, context.digest
            replies.append(Found(*where, in_text, in_heading, *lengths))
        after, _ = self._serving()
        all_the_while = ranges if after is served else tuple(keys.ranges_of(served & after))
        looked_at = (part.contexts, part.names) if part is not None else (0, ())
        return SearchReply(content, tuple(replies), *looked_at, all_the_while)

    def read(self, message: Read) -> ReadReply:
        """Reads a passage: its own copy, or if it has none, the one in Valkey."""
        address = Address(message.document, message.tag, message.number)
        context: Any = self._holding.context(address)
        if context is None or context.digest != message.digest:
            (context,) = self._documents.at([address])
            if context is None or context.digest != message.digest:
                return ReadReply(None)
        top = max(1, min(message.top, 100))

        def places() -> list[list[float]]:
            reading = self._equipment.reading
            question = reading.question(message.question)
            found = reading.spans(question, context, context.encoding, top=top, watch=Stopwatch())
            return [list(place) for place in found]

        key = key_in(self._equipment, message.question, message.digest, {"node": True, "top": top})
        found = self._equipment.cache.compute(key, places)
        return ReadReply(tuple((int(start), int(end), float(score)) for start, end, score in found))

    def answered(self, path: str, body: bytes, signature: str) -> bytes | None:
        """Returns the reply to a request of another worker, or of a client; None if the sender may not ask.

        Raises:
            ValueError: for an invalid request.
            EdgeQAError: if the request fails.
        """
        if len(body) > MAX_BODY_BYTES or not self._qa.secrets.is_good(signature, path, body):
            return None
        what = path.removeprefix(PREFIX)
        if what == "search":
            return msgspec.json.encode(self.search(msgspec.json.decode(body, type=Search)))
        return msgspec.json.encode(self.read(msgspec.json.decode(body, type=Read)))


def _entries(name: str, reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:  # noqa: ANN401 - whatever a server says
    """Returns the entries in the reply to XREADGROUP or XAUTOCLAIM, without deleted ones."""
    if name == "XAUTOCLAIM":
        found = reply[1] if reply else []
    else:
        found = [entry for _, entries in (reply or []) for entry in entries]
    return [(entry, fields) for entry, fields in found if entry is not None and fields]


def _no_longer(
    entries: Iterable[tuple[bytes, dict[bytes, bytes]]], size_bytes: int
) -> Iterator[list[tuple[bytes, dict[bytes, bytes]]]]:
    """Yields entries that have no more text together than this; one that has more comes alone."""
    some: list[tuple[bytes, dict[bytes, bytes]]] = []
    left = size_bytes
    for one in entries:
        long = len(one[1].get(b"text", b""))
        if some and long > left:
            yield some
            some, left = [], size_bytes
        some.append(one)
        left -= long
    if some:
        yield some


def _no_more(documents: Iterable[StoredDocument], contexts: int) -> Iterator[StoredDocument]:
    """Yields documents that together have no more passages than this; the first, however many it has."""
    left = contexts
    for number, one in enumerate(documents):
        if number and one.contexts > left:
            return
        left -= one.contexts
        yield one


def _is_same(document: StoredDocument, held: Any) -> bool:  # noqa: ANN401 - a Held, or nothing
    return held is not None and (held.digest, held.first) == (document.digest, document.first)


def _tag_digest(tag: str, version: Version) -> int:
    return int.from_bytes(blake2b(f"{tag}\0{version}".encode(), digest_size=16).digest(), "little")
