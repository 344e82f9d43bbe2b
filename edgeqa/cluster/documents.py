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
from edgeqa.cluster.errors import ClusterFormatUnsupported, ClusterOtherModel, EntryDamaged
from edgeqa.collection.naming import TAG, Address
from edgeqa.collection.shard_format import Record, TokenGroups, pack_record
from edgeqa.digests import blake2b
from edgeqa.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgeqa.cluster.valkey import Pipe, Valkey
    from edgeqa.collection.snapshot import EncoderIdentity
    from edgeqa.contexts import Piece, Tokens
    from edgeqa.contexts.windows import Window

_TOKENS = struct.Struct("<I")
_TAG = re.compile(TAG)
DIGEST_BYTES = 16
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
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            message = f"not a passage: {error}"
            raise ValueError(message) from error
        self.address, self.document, self.title = address, address.document, title or self._record.title

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

    def tag_for(self, name: str, contexts: int) -> str:
        """Returns the tag of a document: the one where it lies, or one of its folder with room for it.

        The choice is made once: two processes that add the document at the same time get the same tag.
        """
        folder = keys.folder_of(name)
        first, digest = keys.tag_of(folder, 0), keys.folder_digest(folder)
        places, opened = keys.of_tag(first, "places", digest), keys.of_tag(first, "open", digest)
        known = self._valkey.do(places, "HGET", places, name)
        if known is not None:
            return keys.tag_of(folder, int(known))
        number = int(self._valkey.do(opened, "GET", opened) or 0)
        while True:
            tag = keys.tag_of(folder, number)
            count = keys.of_tag(tag, "contexts")
            held = int(self._valkey.do(count, "GET", count) or 0)
            if not held or held + contexts <= keys.PASSAGES_A_TAG:
                break
            number += 1
            self._valkey.do(opened, "SET", opened, number)
        self._valkey.do(places, "HSETNX", places, name, number)
        number = int(self._valkey.do(places, "HGET", places, name) or number)
        return keys.tag_of(folder, number)

    def note_tag(self, tag: str) -> None:
        """Tells workers of a tag."""
        if tag not in self._noted:
            self.everywhere(("tags", "SADD", tag))
            self._noted.add(tag)

    # --- documents ---------------------------------------------------------------------------------------------------

    def put(self, tag: str, name: str, *, title: str, source: str, windows: Sequence[Window]) -> bool:
        """Puts a document into Valkey, in the place of one with its name; tells whether anything has changed.

        Raises:
            ClusterError: if it cannot be written; then the old document stays.
        """
        self.note_tag(tag)
        records = [_packed(window, tag, title) for window in windows]
        digest = _digest(title, source, records)
        number, version, names = (keys.of_tag(tag, what, of) for what, of in _of_document(name))

        def build(pipe: Pipe) -> bool:
            known = pipe.get(version)
            if known is not None and known.decode() == digest:
                return False
            former = self._listed(pipe, tag, name)
            answered = pipe.smembers(names)
            # The counter is asked before the transaction, which cannot use a reply; an unused number does no harm.
            after = int(pipe.incrby(number, len(records))) if records else 0
            first = after - len(records) + 1
            stored = StoredDocument(name, title, source, first, len(records), digest)
            passages = keys.of_tag(tag, "passages", name)
            pipe.multi()
            self._clear(pipe, tag, name, answered)
            if records:
                pipe.hset(passages, mapping={str(first + place): one for place, one in enumerate(records)})
            pipe.set(version, digest)
            pipe.hset(keys.of_tag(tag, "documents"), name, msgspec.json.encode(stored))
            pipe.incrby(keys.of_tag(tag, "contexts"), len(records) - (former.contexts if former else 0))
            _note_change(pipe, tag)
            pipe.xadd(keys.of_tag(tag, "arrivals"), {"document": name})
            return True

        return self._valkey.transact(name, (version, names), build)

    def drop(self, tag: str, name: str) -> bool:
        """Removes a document, with all answers that are remembered by its names; tells whether it was there."""
        _, version, names = (keys.of_tag(tag, what, of) for what, of in _of_document(name))

        def build(pipe: Pipe) -> bool:
            former = self._listed(pipe, tag, name)
            answered = pipe.smembers(names)
            if former is None:
                return False
            pipe.multi()
            self._clear(pipe, tag, name, answered)
            pipe.delete(version)
            pipe.hdel(keys.of_tag(tag, "documents"), name)
            pipe.decrby(keys.of_tag(tag, "contexts"), former.contexts)
            _note_change(pipe, tag)
            pipe.xadd(keys.of_tag(tag, "arrivals"), {"gone": name})
            return True

        was_there = self._valkey.transact(name, (version, names), build)
        folder = keys.folder_of(name)
        places = keys.of_tag(keys.tag_of(folder, 0), "places", keys.folder_digest(folder))
        self._valkey.do(places, "HDEL", places, name)
        return was_there

    def _clear(self, pipe: Pipe, tag: str, name: str, answered: Iterable[bytes]) -> None:
        """Queues the deletion of a document's passages, and of the plain answers on them."""
        pipe.delete(keys.of_tag(tag, "passages", name), keys.of_tag(tag, "names", name), *answered)

    def _listed(self, pipe: Pipe, tag: str, name: str) -> StoredDocument | None:
        raw = pipe.hget(keys.of_tag(tag, "documents"), name)
        return None if raw is None else _stored(raw)

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
                yield tag, [document for raw in one.values() if (document := _stored(raw)) is not None]

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
        return None if raw is None else _stored(raw)

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


def _note_change(pipe: Pipe, tag: str) -> None:
    """Queues that a tag has changed."""
    pipe.incr(keys.of_tag(tag, "changes"))
    pipe.set(keys.of_tag(tag, "change"), secrets.token_hex(8))


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


def _of_document(name: str) -> tuple[tuple[str, str], ...]:
    return ("number", ""), ("version", name), ("names", name)


def _stored(raw: bytes) -> StoredDocument | None:
    try:
        return msgspec.json.decode(raw, type=StoredDocument)
    except msgspec.DecodeError as error:
        raise EntryDamaged(str(error)) from error
