"""`Documents`: the documents of a cluster, as they lie in Valkey.

In: documents, each in one transaction. Out: passages. A document is in Valkey wholly or not at all, and its arrival is
an entry in the stream of its tag. A passage is a record of a shard (`collection.shard_format`): its text, and about 5
bytes for each token. The numbers in addresses come from the tag's counter and are never used twice, so that the name of
an answer can never mean another passage. Encodings are not here, because workers make them. Every record is checked
when it is read, since anybody may have written it.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from edgeqa.cluster import keys
from edgeqa.cluster.errors import ClusterFormatUnsupported, ClusterOtherModel
from edgeqa.collection.naming import TAG, Address
from edgeqa.collection.shard_format import Record, TokenGroups, pack_record, renamed
from edgeqa.digests import blake2b
from edgeqa.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgeqa.cluster.transactions import Command
    from edgeqa.cluster.valkey import Valkey
    from edgeqa.collection.snapshot import EncoderIdentity
    from edgeqa.contexts import Piece, Tokens
    from edgeqa.contexts.windows import Window

_TOKENS = struct.Struct("<I")
_TAG = re.compile(TAG)
DIGEST_BYTES = 16
MOST_CONTEXTS = 1 << 20
"""An entry that says that its document has more passages is damaged: to ask for them would take all memory."""
LAST_HOME_S = 0.1
"""How long a copy is tried for that cannot be had, where others can: while a master is gone, questions wait for it."""


class StoredDocument(msgspec.Struct, frozen=True):
    """A document, as it is listed in its tag."""

    name: str
    title: str
    source: str
    """The name of its file."""
    first: int
    """The number of its first passage in addresses."""
    contexts: int
    """The number of its passages."""
    digest: str
    """The digest of all its passages and its title."""

    @property
    def after(self) -> int:
        """The number after that of its last passage."""
        return self.first + self.contexts


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document that is to be put into Valkey."""

    name: str
    title: str
    source: str
    """The name of its file."""
    windows: Sequence[Window]
    """Its passages."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A document as it is written."""

    document: NewDocument
    records: list[bytes]
    digest: str
    version: str
    names: str
    passages: str
    """These three are its keys."""

    @classmethod
    def of(cls, document: NewDocument, tag: str) -> _Made:
        records = [_packed(window, tag, document.title) for window in document.windows]
        digest = _digest(document.title, document.source, records)
        return cls(
            document,
            records,
            digest,
            *(keys.of_tag(tag, what, document.name) for what in ("version", "names", "passages")),
        )

    def stored(self, first: int) -> StoredDocument:
        """Returns it as it is listed, with the number of its first passage."""
        one, count = self.document, len(self.records)
        return StoredDocument(one.name, one.title, one.source, first if count else 0, count, self.digest)


@dataclass(frozen=True, slots=True)
class ListedInCluster:
    """A document of a cluster, as `edgeqa list` shows it."""

    document: str
    title: str
    tag: str
    contexts: int
    first: int
    path: None = None
    """It is always None: paths of another machine mean nothing here."""

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return {name: getattr(self, name) for name in ("document", "path", "title", "tag", "contexts", "first")}


class HeldPassage:
    """A passage from Valkey, unpacked as far as it is needed; for readers it is a `Context`."""

    encoding = None

    def __init__(self, raw: bytes, address: Address, title: str = "") -> None:
        """Takes the bytes of a field of `passages`.

        Raises:
            ValueError: if they are no valid record.
        """
        try:
            (tokens,) = _TOKENS.unpack_from(raw)
            self._record = Record(raw[_TOKENS.size :], tokens)
            self.text = self._record.text
            self.kind: str = self._record.kind
            self.heading: tuple[str, ...] = self._record.heading
            self.pieces: tuple[Piece, ...] = self._record.pieces
            self.title = title or self._record.title
            _ = self._record.tag, self._record.title  # of which an index would find out too late that they are no text
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            message = f"not a passage: {error}"
            raise ValueError(message) from error
        if not self._record.is_complete:
            message = "not a passage: it is of another length than it says"
            raise ValueError(message)
        self._raw = raw
        self.address, self.document = address, address.document

    @property
    def start(self) -> int:
        """Place of its first character in the document."""
        return self._record.head.start

    @property
    def digest(self) -> str:
        """The digest of text and tokens: an answer depends on them, besides the model and the question."""
        return blake2b(self._record.content, digest_size=DIGEST_BYTES).hexdigest()

    @property
    def tokens(self) -> Tokens:
        """Its tokens, with offsets into `text`."""
        from edgeqa.contexts import Tokens

        return Tokens(self._record.ids(), self._record.offsets(), self.groups.words)

    def packed(self, name: str) -> tuple[bytes, int]:
        """Returns its record with another name of its document, and the number of its tokens."""
        (tokens,) = _TOKENS.unpack_from(self._raw)
        return renamed(self._raw[_TOKENS.size :], tokens, name), tokens

    @property
    def groups(self) -> TokenGroups:
        """Words, paragraphs and meaning of its tokens."""
        return self._record.groups()

    @property
    def paragraphs(self) -> Any:  # noqa: ANN401 - as of a window
        """Number of each token's paragraph, int32 [tokens]."""
        return self.groups.paragraphs

    @property
    def meaningful(self) -> Any:  # noqa: ANN401 - as of a window
        """Whether each token is more than punctuation, bool [tokens]."""
        return self.groups.meaningful


class Documents:
    """The documents of a cluster. Safe from many threads."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey
        self._noted: set[str] = set()  # tags that workers have been told of
        self._tags: list[str] = []
        self._tags_as_of = 0.0

    # --- what the cluster is -----------------------------------------------------------------------------------------

    def bind(self, encoder: EncoderIdentity) -> None:
        """Notes the model that the documents are made with, if none is noted yet.

        Raises:
            ClusterOtherModel: if they are made with another model.
            ClusterFormatUnsupported: if a later version wrote them.
        """
        fields = (("format", str(keys.FORMAT)), ("encoder", encoder.digest), ("bundle", encoder.bundle))
        if self.made_with(encoder):
            return
        self.everywhere(*[("collection", "HSETNX", field, value) for field, value in fields])
        self.made_with(encoder)

    def made_with(self, encoder: EncoderIdentity) -> bool:
        """Tells whether a model is noted; raises the same errors as `bind`."""
        found = self.anywhere("collection", "HGETALL")
        facts = {field.decode(): value.decode() for one in found for field, value in one.items()}
        if facts and facts.get("format") != str(keys.FORMAT):
            raise ClusterFormatUnsupported(facts.get("format", "?"), keys.FORMAT)
        if facts.get("encoder", encoder.digest) != encoder.digest:
            raise ClusterOtherModel(facts.get("bundle", "another model"), encoder.bundle)
        return bool(facts)

    def everywhere(self, *commands: tuple[Any, ...]) -> None:
        """Runs commands on a key that is kept three times, on each copy that can be reached.

        Args:
            commands: for each, the key's name, the command, and the arguments after the key.

        Raises:
            ClusterError: if no copy can be reached.
        """
        every = [
            (key, (name, key, *rest))
            for home in keys.HOMES
            for what, name, *rest in commands
            for key in (keys.of_home(home, what),)
        ]
        found = self._valkey.many(every, patience_s=1.0)
        wrong = [one for one in found if isinstance(one, ClusterError)]
        if len(wrong) == len(found):
            raise wrong[0]

    def anywhere(self, what: str, name: str, *rest: Any) -> list[Any]:  # noqa: ANN401 - as they are sent
        """Returns the replies to a command on a key that is kept three times, of the copies that reply.

        Raises:
            ClusterError: if no copy replies.
        """
        at = [keys.of_home(home, what) for home in keys.HOMES]
        commands = [(key, (name, key, *rest)) for key in at]
        for patience_s in (LAST_HOME_S, 1.0):
            found = self._valkey.many(commands, patience_s=patience_s)
            if good := [one for one in found if not isinstance(one, ClusterError)]:
                return good
        raise found[0]

    # --- tags --------------------------------------------------------------------------------------------------------

    def tags(self, *, not_older_s: float = 0.0) -> list[str]:
        """Returns all tags that exist or existed; asks only if those last seen are older than this."""
        now = time.monotonic()
        if now - self._tags_as_of > not_older_s:
            found = {tag.decode("utf-8", "replace") for some in self.anywhere("tags", "SMEMBERS") for tag in some}
            # A tag that was seen once stays: a server that has just come back may not know of it yet.
            self._tags = sorted({*self._tags, *filter(_TAG.fullmatch, found)})
            self._tags_as_of = now
        return self._tags

    def contexts(self, tags: Sequence[str]) -> int:
        """Returns how many passages there are in some tags, as far as this can be had now."""
        at = [keys.of_tag(tag, "contexts") for tag in tags]
        found = self._valkey.many([(key, ("GET", key)) for key in at], patience_s=0.0)
        return sum(int(one) for one in found if isinstance(one, bytes))

    def note_tag(self, tag: str) -> None:
        """Tells workers of a tag."""
        if tag not in self._noted:
            self.everywhere(("tags", "SADD", tag))
            self._noted.add(tag)

    # --- documents ---------------------------------------------------------------------------------------------------

    def put(self, tag: str, name: str, *, title: str, source: str, windows: Sequence[Window]) -> bool:
        """Puts a document into Valkey as `put_all` does; tells whether anything has changed."""
        return bool(self.put_all(tag, [NewDocument(name, title, source, windows)]))

    def put_all(self, tag: str, new: Sequence[NewDocument]) -> int:
        """Puts documents of a tag into Valkey, in the place of those with their names, in one transaction.

        Args:
            tag: their tag.
            new: documents, each with another name.

        Returns:
            How many of them are new, or not as they were.

        Raises:
            ClusterError: if they cannot be written; then the old documents stay.
        """
        self.note_tag(tag)
        made = [_Made.of(one, tag) for one in new]
        total = sum(len(one.records) for one in made)
        watched = [key for one in made for key in (one.version, one.names)]
        listed = keys.of_tag(tag, "documents")
        looks: list[Command] = [
            # The counter is asked before the transaction, which cannot use a reply; unused numbers do no harm.
            ("INCRBY", keys.of_tag(tag, "number"), total),
            ("HMGET", listed, *(one.document.name for one in made)),
            *(look for one in made for look in (("GET", one.version), ("SMEMBERS", one.names))),
        ]

        def decide(replies: list[Any]) -> tuple[int, list[Command]]:
            last, former, *seen = replies
            after, more = last - total + 1, 0
            names: list[str] = []
            commands: list[Command] = []
            for one, raw, known, answered in zip(made, former, seen[::2], seen[1::2], strict=True):
                was = None if raw is None else _stored(one.document.name, raw)
                if known is not None and known.decode() == one.digest and was is not None and was.digest == one.digest:
                    # If it was written and no reply came, it may be on the master alone: this is to be waited for.
                    commands.append(("SET", one.version, one.digest))
                    continue
                stored = one.stored(after)
                after += len(one.records)
                more += len(one.records) - (0 if was is None else was.contexts)
                numbered = [part for place, record in enumerate(one.records) for part in (stored.first + place, record)]
                names.append(stored.name)
                commands += [
                    ("DEL", one.passages, one.names, *answered),
                    *([("HSET", one.passages, *numbered)] if numbered else ()),
                    ("SET", one.version, one.digest),
                    ("HSET", listed, stored.name, msgspec.json.encode(stored)),
                ]
            return len(names), commands + (_changed(tag, more, "document", names) if names else [])

        return self._valkey.transact(made[0].document.name, watched, looks, decide)

    def drop(self, tag: str, name: str) -> bool:
        """Removes a document, with all answers that are remembered by its names; tells whether it was there."""
        listed = keys.of_tag(tag, "documents")
        version, names, passages = (keys.of_tag(tag, what, name) for what in ("version", "names", "passages"))

        def decide(replies: list[Any]) -> tuple[bool, list[Command]]:
            raw, answered = replies
            if raw is None:  # if it was removed and no reply came, it may be gone from the master alone
                return False, [_nothing(tag)]
            return True, [
                ("DEL", passages, names, version, *answered),
                ("HDEL", listed, name),
                *_changed(tag, -_stored(name, raw).contexts, "gone", [name]),
            ]

        looks = [("HGET", listed, name), ("SMEMBERS", names)]
        was_there = self._valkey.transact(name, (version, names), looks, decide)
        places = keys.of_folder(name, "places")
        self._valkey.do(places, "HDEL", places, name)
        return was_there

    def settle(self, name: str) -> None:
        """Waits until a replica of each master, if it has one, has all that was written before.

        What was removed, and waited for in vain, is not there to be removed again: it is waited for here.

        Args:
            name: what this is done for, for messages.

        Raises:
            ClusterError: if a replica does not have it within the time.
        """
        tags = {self._valkey.master_of(keys.slot_of_tag(tag)): tag for tag in self.tags()}
        for tag in tags.values():
            self._settle(name, tag)

    def _settle(self, name: str, tag: str) -> None:
        written: list[Command] = [_nothing(tag)]
        self._valkey.transact(name, (keys.of_tag(tag, "version"),), [], lambda _: (None, written))

    # --- looking -----------------------------------------------------------------------------------------------------

    def of_tags(
        self, tags: Sequence[str], *, patience_s: float | None = None
    ) -> Iterator[tuple[str, list[StoredDocument]]]:
        """Yields the documents of each of some tags.

        Args:
            tags: to look into.
            patience_s: how long each is tried for; None as for the cluster.

        Raises:
            ClusterError: if the documents of a tag cannot be read.
        """
        for place in range(0, len(tags), 64):
            some = tags[place : place + 64]
            at = [keys.of_tag(tag, "documents") for tag in some]
            found = self._valkey.many([(key, ("HGETALL", key)) for key in at], patience_s=patience_s)
            for tag, one in zip(some, found, strict=True):
                if isinstance(one, ClusterError):
                    raise one
                yield tag, [_stored(name.decode("utf-8", "replace"), raw) for name, raw in one.items()]

    def listed(self) -> list[ListedInCluster]:
        """Returns all documents, by name."""
        every = (
            ListedInCluster(one.name, one.title, tag, one.contexts, one.first)
            for tag, some in self.of_tags(self.tags())
            for one in some
        )
        return sorted(every, key=lambda one: (one.document, one.tag))

    def document(self, tag: str, name: str) -> StoredDocument | None:
        """Returns a document by its name; None if there is none."""
        key = keys.of_tag(tag, "documents")
        raw = self._valkey.do(key, "HGET", key, name)
        return None if raw is None else _stored(name, raw)

    def passages(self, tag: str, document: StoredDocument) -> list[HeldPassage]:
        """Returns the passages of a document, in order; none if the document has changed.

        Raises:
            ClusterError: if they cannot be had.
        """
        (found,) = self.passages_of([(tag, document)])
        if isinstance(found, ClusterError):
            raise found
        return found

    def passages_of(
        self, wanted: Sequence[tuple[str, StoredDocument]], *, patience_s: float | None = None
    ) -> list[list[HeldPassage] | ClusterError]:
        """Returns the passages of each of some documents as `passages` does, or why they cannot be had.

        Each server is asked once for all of its documents: a worker that takes over needs hundreds at once.

        Args:
            wanted: documents, each with its tag.
            patience_s: how long each is tried for; None as for the cluster.
        """
        replies = self._valkey.many(_commands_of(wanted), patience_s=patience_s)
        return [
            raw if isinstance(raw, ClusterError) else _passages(tag, document, raw)
            for (tag, document), raw in zip(wanted, replies, strict=True)
        ]

    def digests(self, wanted: Sequence[tuple[str, StoredDocument]]) -> list[str]:
        """Returns the digest of the passages in Valkey of each of some documents; "" if one is missing.

        Raises:
            ClusterError: if one cannot be had.
        """
        found = []
        for (_, document), raw in zip(wanted, self._valkey.many(_commands_of(wanted)), strict=True):
            if isinstance(raw, ClusterError):
                raise raw
            records = raw if document.contexts else ()
            found.append(_digest(document.title, document.source, records) if all(records) else "")
        return found

    def at(
        self, addresses: Sequence[Address], wrong: dict[str, str] | None = None, *, patience_s: float = 2.0
    ) -> list[HeldPassage | None]:
        """Returns the passages at addresses; None for one that is missing, damaged, or cannot be read now.

        Args:
            addresses: the addresses of the passages.
            wrong: a function that gets, by address, the reason why a passage cannot be read; None to raise it.
            patience_s: how long each is tried.

        Raises:
            ClusterError: if a passage cannot be read, and `wrong` is None.
        """
        wanted = [(keys.of_tag(one.tag, "passages", one.document), str(one.number)) for one in addresses]
        found = self._valkey.many([(key, ("HGET", key, number)) for key, number in wanted], patience_s=patience_s)
        passages: list[HeldPassage | None] = []
        for address, raw in zip(addresses, found, strict=True):
            held = None
            if isinstance(raw, ClusterError):
                if wrong is None:
                    raise raw
                wrong[str(address)] = str(raw)
            if isinstance(raw, bytes):
                with contextlib.suppress(ValueError):
                    held = HeldPassage(raw, address)
            passages.append(held)
        return passages


def _nothing(tag: str) -> Command:
    """Returns a command that changes nothing, and is sent to replicas: once one has it, it has all before it."""
    return "INCRBY", keys.of_tag(tag, "number"), 0


def _changed(tag: str, contexts: int, what: str, names: Iterable[str]) -> list[Command]:
    """Returns the commands that note a change of a tag: so many passages more, and what is said of documents."""
    return [
        ("INCRBY", keys.of_tag(tag, "contexts"), contexts),
        ("INCR", keys.of_tag(tag, "changes")),
        ("SET", keys.of_tag(tag, "change"), secrets.token_hex(8)),
        *(("XADD", keys.of_tag(tag, "arrivals"), "*", what, name) for name in names),
    ]


def _commands_of(wanted: Iterable[tuple[str, StoredDocument]]) -> list[tuple[str, tuple[Any, ...]]]:
    """Returns the Valkey commands that ask for the passages of documents, one for each document."""
    commands: list[tuple[str, tuple[Any, ...]]] = []
    for tag, document in wanted:
        key = keys.of_tag(tag, "passages", document.name)
        numbers = range(document.first, document.after)
        commands.append((key, ("HMGET", key, *numbers) if numbers else ("HLEN", key)))
    return commands


def _passages(tag: str, document: StoredDocument, raw: Any) -> list[HeldPassage]:  # noqa: ANN401 - whatever a server says
    if not document.contexts:
        return []
    try:
        if _digest(document.title, document.source, raw) != document.digest:
            return []
        return [
            HeldPassage(one, Address(document.name, tag, document.first + place), document.title)
            for place, one in enumerate(raw)
        ]
    except (TypeError, ValueError):  # a passage is missing or damaged
        return []


def _packed(window: Window, tag: str, title: str) -> bytes:
    """Returns a passage as a field of `passages` holds it; `HeldPassage` reads it."""
    record = pack_record(window, TokenGroups.of(window), tag=tag, name="", title=title)
    return _TOKENS.pack(len(window.tokens)) + record


def _digest(title: str, source: str, records: Iterable[bytes]) -> str:
    whole = blake2b(digest_size=DIGEST_BYTES)
    for part in (title.encode(), source.encode(), *records):
        whole.update(len(part).to_bytes(4, "little") + part)
    return whole.hexdigest()


def _stored(name: str, raw: bytes) -> StoredDocument:
    """Returns a document as it is listed; one without passages and digest in place of what edgeqa does not write.

    So a damaged entry is not found, is reported by `verify` and can be removed, and nothing else suffers by it.
    """
    try:
        found = msgspec.json.decode(raw, type=StoredDocument)
        is_sound = found.name == name and bool(bytes.fromhex(found.digest)) and 0 <= found.contexts <= MOST_CONTEXTS
    except (msgspec.DecodeError, ValueError):
        is_sound = False
    return found if is_sound else StoredDocument(name, "", name, 0, 0, "")
