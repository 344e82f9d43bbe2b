"""The scope of a cluster: it searches the likeliest workers, takes texts from Valkey, and lets workers read passages.

In: the living workers, and a question. Out: a scope of `asking`, and `RemoteReading`, which takes the place of a model
there. Only spans and scores come from workers. A worker that does not answer is noted, and another one reads its
passages from Valkey. An answer that was made without some of the passages is not remembered as complete.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec

from edgeqa.asking import SourcePassage
from edgeqa.cluster import keys, statistics
from edgeqa.cluster.errors import ClusterEmpty, NotIndexedYet, NoWorker, PassageChanged
from edgeqa.cluster.membership import unserved
from edgeqa.cluster.nodes import NodeSilent, Read, Search
from edgeqa.collection.errors import ContextGone
from edgeqa.collection.naming import Address
from edgeqa.contexts import Place
from edgeqa.contexts.search import MAX_QUESTION_CHARACTERS, Hit, Hits
from edgeqa.digests import blake2b
from edgeqa.errors import ClusterError, EmptyQuestion
from edgeqa.models.reading import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from edgeqa.cluster.adding import Splitter
    from edgeqa.cluster.documents import Documents, HeldPassage
    from edgeqa.cluster.membership import Member
    from edgeqa.cluster.nodes import Node, SearchReply
    from edgeqa.contexts import Context
    from edgeqa.models.bundle import Bundle
    from edgeqa.models.readers import Encoding
    from edgeqa.timing import Stopwatch

HITS_A_NODE = 12
FETCHED_AT_ONCE = 4


class Asked:
    """The workers that are asked one question, and those among them that did not answer."""

    def __init__(self, members: Sequence[Member], node_of: Callable[[Member], Node], servers: str) -> None:
        self.members = tuple(members)
        self._node_of, self._servers = node_of, servers
        self.asked: dict[str, None] = {}
        """Their names on screens, in the order in which they were asked."""
        self.silent: dict[str, NodeSilent] = {}
        """The workers that did not answer, each with the reason."""

    def search(self, chosen: Sequence[Member], message: Search) -> list[tuple[Member, SearchReply]]:
        """Lets some workers search at the same time; returns the results of those that answered."""

        def one(member: Member) -> tuple[Member, SearchReply] | None:
            try:
                return member, self._node_of(member).search(message)
            except NodeSilent as error:
                self.silent[member.shown] = error
                return None

        self.asked.update(dict.fromkeys(member.shown for member in chosen))
        if len(chosen) == 1:
            found = [one(chosen[0])]
        else:
            with ThreadPoolExecutor(max(1, len(chosen))) as pool:
                found = list(pool.map(one, chosen))
        return [reply for reply in found if reply is not None]

    def read(self, slot: int, message: Read) -> list[Place] | None:
        """Lets the worker of its slot read a passage, or else another one; None if there is no such passage.

        Raises:
            NoWorker: if no worker answers.
        """
        for member in sorted(self.members, key=lambda one: (not one.serves(slot), one.shown in self.silent, one.id)):
            if member.shown in self.silent:
                continue
            self.asked[member.shown] = None
            try:
                places = self._node_of(member).read(message).places
            except NodeSilent as error:
                self.silent[member.shown] = error
                continue
            return None if places is None else [Place(*place) for place in places]
        raise NoWorker(self._servers, self.silent.values())


class RemoteReading:
    """The reader of one question, in the place of a model."""

    def __init__(self, asked: Asked, splitter: Splitter, bundle: Bundle) -> None:
        self._asked, self._splitter, self._manifest = asked, splitter, bundle.manifest

    def question(self, question: str) -> Question:
        """Returns the question in the form that is sent.

        Raises:
            EmptyQuestion: if it has no token.
        """
        beginning = question[:MAX_QUESTION_CHARACTERS]
        ids = self._splitter.tokenizer.ids(beginning)
        if not len(ids):
            raise EmptyQuestion
        is_cut = len(ids) > self._manifest.max_question_tokens - 2 or len(beginning) < len(question)
        return Question(beginning, is_cut=is_cut)

    def mended(self, question: str, slips: Mapping[str, str]) -> str:
        """Returns the question with misspelt words put right, as `PassageReader.mended` does."""
        from edgeqa.models.reading import mended

        return mended(self._splitter.tokenizer, question, slips)

    def spans(
        self, question: Question, context: HeldPassage, encoding: object, *, top: int, watch: Stopwatch, **_: object
    ) -> list[Place]:
        """Returns the places of a passage's best spans; spans outside of its text are dropped.

        Raises:
            PassageChanged: if the passage is gone.
            NoWorker: if no worker answers.
        """
        del encoding
        address = context.address
        message = Read(question.encoded, address.document, address.tag, address.number, context.digest, top)
        places = self._asked.read(keys.slot_of_tag(address.tag), message)
        watch.over("read")
        if places is None:  # nothing of it may be remembered
            raise PassageChanged(address)
        return [place for place in places if 0 <= place.start < place.end <= len(context.text)]


class ClusterScope:
    """The cluster as it is now. For one question."""

    is_given = False

    def __init__(
        self,
        asked: Asked,
        documents: Documents,
        published: statistics.Published,
        *,
        tags: Sequence[str],
        language: str,
        servers: str,
        most_nodes: int = statistics.MAX_ASKED,
        within: Sequence[str] = (),
    ) -> None:
        self._within = tuple(within)
        self._asked, self._documents, self._published = asked, documents, published
        self._language, self._servers, self._most_nodes = language, servers, most_nodes
        self._tags, self._unserved = tags, unserved(tags, asked.members)
        self.digest = scope_digest(asked.members, tags) + (f" within {sorted(self._within)}" if within else "")
        self._found: list[tuple[Address, str]] = []
        self._held: dict[int, HeldPassage | None] = {}
        self._again: dict[str, HeldPassage | None] = {}
        self._numbers: dict[str, int] = {}
        self._is_changed = False
        self._wrong: dict[str, str] = {}
        """The passages that Valkey did not give."""

    def search(self, question: str, most: int) -> Hits:
        """Returns the passages that share the most with the question, from the likeliest workers.

        Raises:
            NoWorker: if no worker answers.
            ClusterEmpty: if there is no passage.
            NotIndexedYet: if there is one, which no worker has indexed so far.
            ContextGone: if there is nothing of a name that alone is to be asked.
        """
        members = self._asked.members
        if not members:
            raise NoWorker(self._servers)
        asked = self._published.asked(members, question, self._language)
        for member in asked.unknown:
            if member.contexts:
                self._wrong[f"terms of {member.shown}"] = f"the statistics of {member.shown} cannot be had now"
        # Which of them have a part, they alone know.
        chosen = statistics.likeliest(asked, members, len(members) if self._within else self._most_nodes)
        if not chosen:
            if self._unserved:
                raise NoWorker(self._servers)
            raise (NotIndexedYet if self._documents.contexts(self._tags) else ClusterEmpty)(self._servers)
        message = Search(asked.question, asked.terms, min(most, HITS_A_NODE), self._within)
        replies = self._asked.search(chosen, message)
        if not replies:
            raise NoWorker(self._servers, self._asked.silent.values())
        self._unserved = unserved(self._tags, _as_searched(members, replies))
        self._check_part([reply for _, reply in replies])
        self._is_changed = any(reply.content != member.content for member, reply in replies)
        ranked = self._ranked(asked, [reply for _, reply in replies], most)
        self._found = [(address, digest) for _, address, digest in ranked]
        hits = [Hit(number, share) for number, (share, _, _) in enumerate(ranked) if share > 0]
        looked_at = sum(reply.contexts for _, reply in replies) if self._within else asked.contexts
        return Hits(hits, looked_at, asked.weights, asked.mended, asked.in_none)

    def _check_part(self, replies: Iterable[SearchReply]) -> None:
        """Raises ContextGone for a name that alone is to be asked, and of which nobody has anything."""
        known = {name for reply in replies for name in reply.known}
        for name in self._within if not self.damaged() else ():  # whoever is silent may have it
            if name not in known:
                raise ContextGone(name)

    def _ranked(
        self, asked: statistics.Asked, replies: Iterable[SearchReply], most: int
    ) -> list[tuple[float, Address, str]]:
        """Returns the passages found by all workers, each with its score, address and digest; the best comes first."""
        scored: dict[tuple[str, int, str], tuple[float, Address, str]] = {}
        for reply in replies:
            # One that knows of no part has found what it liked.
            for one in reply.found if reply.known or not self._within else ():
                share = statistics.score(asked, one.in_text, one.in_heading, one.text_terms, one.heading_terms)
                address = Address(one.document, one.tag, one.number)
                scored[one.tag, one.number, one.document] = share if asked.terms else 1.0, address, one.digest
        return [found for _, found in sorted(scored.items(), key=lambda item: (-item[1][0], item[0]))[:most]]

    def passage(self, hit: Hit) -> SourcePassage | None:
        """Returns a passage that was found; None if it is gone or has changed."""
        if hit.number not in self._held:
            ahead = range(hit.number, min(len(self._found), hit.number + FETCHED_AT_ONCE))
            fetched = self._documents.at([self._found[number][0] for number in ahead], self._wrong)
            for number, held in zip(ahead, fetched, strict=True):
                self._held[number] = held if held is not None and held.digest == self._found[number][1] else None
        held = self._held[hit.number]
        if held is None:
            address = str(self._found[hit.number][0])
            self._wrong.setdefault(address, f"{address} has changed while it was asked")
            return None
        return self.placed(held)

    def placed(self, held: HeldPassage) -> SourcePassage:
        """Returns a passage with its source."""
        address = held.address
        number = self._numbers.setdefault(f"{address.document}:{address.tag}", len(self._numbers))
        text: Any = held
        return SourcePassage(text, address.document, number, str(address), held.digest)

    def windows(self, passage: SourcePassage) -> Iterator[tuple[Context, Encoding | None]]:
        """Yields the passage, which is stored as it is read."""
        yield passage.text, None  # type: ignore[misc]  # it is what `placed` made it of

    def reference(self, placed: SourcePassage) -> tuple[str, str]:
        """Returns the passage's address and its digest."""
        return str(placed.address), str(placed.digest)

    def ahead(self, record: Any) -> None:  # noqa: ANN401 - whatever lies in a cache
        """Fetches the passages of a record that was found, all at once; those that were read now are here already."""
        if not isinstance(record, dict) or self._found:
            return
        with contextlib.suppress(TypeError, ValueError, KeyError, ClusterError):
            addresses = [Address.parse(text) for text, _ in record["passages"]]
            wanted = [one for one in addresses if one is not None]
            for address, held in zip(wanted, self._documents.at(wanted), strict=True):
                self._again[str(address)] = held

    def again(self, reference: Any) -> SourcePassage | None:  # noqa: ANN401 - whatever lies in a cache
        """Returns the passage that a reference stands for; None if it has changed."""
        with contextlib.suppress(TypeError, ValueError, ClusterError):
            text, digest = reference
            address = Address.parse(text)
            if address is None:
                return None
            held = self._again[text] if text in self._again else self._documents.at([address])[0]
            if held is not None and held.digest == digest:
                return self.placed(held)
        return None

    def locate(self, found: Iterable[SourcePassage]) -> None:
        """Does nothing: paths of other machines mean nothing here."""

    def nothing_read(self) -> None:
        """Does nothing: a cluster may share no word with a question."""

    def damaged(self) -> tuple[str, ...]:
        """Returns one line for each worker that did not answer, and for each tag without a worker."""
        lines = [*map(str, self._asked.silent.values()), *self._wrong.values()]
        if self._unserved:
            count = len(self._unserved)
            lines.append(f"no worker serves {count} tag{'' if count == 1 else 's'} of the cluster yet")
        return tuple(lines)

    def left_out(self) -> tuple[str, ...]:
        """Returns nothing: the user was told when the file was added."""
        return ()

    def is_whole(self) -> bool:
        """Tells whether all asked workers answered, and nothing was missing or has changed since the question."""
        return not (self.damaged() or self._is_changed)


def _as_searched(members: Sequence[Member], replies: Iterable[tuple[Member, SearchReply]]) -> list[Member]:
    """Returns workers with the slots that they served while they searched.

    Their entries are a moment older: one that has let go of a slot since, or taken it, has not searched it.
    """
    said = {member.id: reply.slots for member, reply in replies}
    return [
        one if (slots := said.get(one.id)) is None else msgspec.structs.replace(one, slots=slots) for one in members
    ]


def scope_digest(members: Sequence[Member], tags: Sequence[str]) -> str:
    """Returns a value that changes with the documents that a cluster can be asked."""
    missing = len(unserved(tags, members))
    return content_digest(members) + (f" without {missing}" if missing else "")


def content_digest(members: Sequence[Member]) -> str:
    """Returns a digest of the indexes of all workers together, however the parts are spread."""
    total = sum(int(one.content, 16) for one in members) % (1 << 128)
    return blake2b(total.to_bytes(16, "little"), digest_size=16).hexdigest()
