"""`ClusterQA`: a runtime for a cluster. A question without a text is asked of the cluster; given texts are read here.

In: questions, files, names. Out: the same as from `EdgeQA`. It needs no worker to add and to list, and loads no model
to ask, because workers read, with the fast reader. The careful one, where it is asked for by name, is loaded here, and
looks again at the best passages, whose texts are here anyway: workers need no room for it. A worker has such a runtime,
too, which asks its own collection without a detour.
"""

from __future__ import annotations

import contextlib
import copy
import math
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from edgeqa import forking
from edgeqa.answer import Answer
from edgeqa.asking.documents import on_one_line
from edgeqa.asking.named import meanings
from edgeqa.asking.question import Asking, NotRemembered
from edgeqa.asking.records import Options
from edgeqa.asking.surroundings import of_passages
from edgeqa.capabilities import Overrides
from edgeqa.cluster import pledges
from edgeqa.cluster.adding import AddingToCluster, Splitter
from edgeqa.cluster.address import ClusterAddress
from edgeqa.cluster.answers import COMPUTED, SharedCache, Shelf
from edgeqa.cluster.documents import Documents
from edgeqa.cluster.errors import NotInCluster, PassageChanged
from edgeqa.cluster.membership import Membership, unserved
from edgeqa.cluster.nodes import RemoteNode, Secrets
from edgeqa.cluster.scope import Asked, ClusterScope, RemoteReading, scope_digest
from edgeqa.cluster.statistics import MAX_ASKED, Published
from edgeqa.cluster.valkey import Valkey
from edgeqa.collection.errors import ContextGone
from edgeqa.collection.naming import Address, several
from edgeqa.contexts import extent
from edgeqa.errors import ClusterError, OptionError
from edgeqa.models.bundle import Bundle
from edgeqa.models.shelf import find_bundle
from edgeqa.runtime import EdgeQA
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Hashable, Iterable
    from pathlib import Path

    from edgeqa.answer import ClosePassage
    from edgeqa.asking.documents import Given
    from edgeqa.asking.equipment import CarefulReader, Equipment
    from edgeqa.asking.surroundings import Shown
    from edgeqa.cache import Key
    from edgeqa.capabilities import Reader
    from edgeqa.cluster.documents import HeldPassage, ListedInCluster, StoredDocument
    from edgeqa.cluster.membership import Member
    from edgeqa.cluster.nodes import Node
    from edgeqa.cluster.verifying import ClusterVerified
    from edgeqa.collection.adding import Added
    from edgeqa.collection.managing import Later, Paths
    from edgeqa.collection.naming import Within
    from edgeqa.models.reading import PassageReader
    from edgeqa.timing import Progress

T = TypeVar("T")
_ATTEMPTS, _PAUSE_S = 4, 0.2


def opened(cluster: str, *, bundle: str | Path | None, overrides: Overrides) -> ClusterQA:
    """Returns a runtime for a cluster, as `edgeqa.open` does; nothing is connected to yet."""
    return ClusterQA(Bundle.load(find_bundle(bundle)), overrides, ClusterAddress.parse(cluster))


def removed_from(cluster: str, names: Paths) -> list[StoredDocument]:
    """Removes files, folders and documents from a cluster; returns the documents that are gone."""
    with contextlib.closing(opened(cluster, bundle=None, overrides=Overrides(persist="off"))) as qa:
        return qa.adding().remove(several(names))


@dataclass(frozen=True, slots=True)
class _Equipped:
    """The equipment of one question: the parts of an `Equipment` that `asking` uses."""

    bundle: Bundle
    overrides: Overrides
    computed: str
    model: str
    cache: SharedCache
    reading: RemoteReading
    own: Equipment
    """The equipment of this device, which has the careful reader."""
    has_fingerprint: bool = True
    """The fingerprint of the workers; this device does not read with the fast reader."""
    may_compute_otherwise: bool = False
    """A worker's fingerprint is known, and no provider of this device computes anything."""

    @property
    def second(self) -> CarefulReader:
        """The facts about the careful reader."""
        return self.own.second

    @property
    def careful(self) -> PassageReader:
        """The careful reader, loaded and tested."""
        return self.own.careful

    @property
    def careful_key(self) -> str:
        """The part of a key that stands for the careful reader."""
        return self.own.careful_key

    def is_careful(self, key: Callable[[], Key], *, may_load: bool) -> bool:
        """Tells whether the careful reader decides, which only who asks for it by name is given."""
        return self.overrides.reader == "careful" and self.own.is_careful(key, may_load=may_load)


class ClusterQA(EdgeQA):
    """Answers questions from a cluster. Safe from many threads. Made by `edgeqa.open(cluster=URL)`."""

    def __init__(
        self,
        bundle: Bundle,
        overrides: Overrides,
        address: ClusterAddress,
        *,
        most_nodes: int = MAX_ASKED,
        members_s: float = 0.0,
    ) -> None:
        """Makes a runtime.

        Args:
            bundle: the model's bundle.
            overrides: as for `edgeqa.open`.
            address: the address of the cluster.
            most_nodes: the greatest number of workers that are asked a question.
            members_s: how long the list of living workers is believed.
        """
        super().__init__(bundle, overrides)
        self.valkey = Valkey(address)
        self.documents = Documents(self.valkey)
        self.membership = Membership(self.valkey, self.documents)
        self.secrets = Secrets(self.documents)
        self.shelf = Shelf(self.valkey, self.documents)
        self.splitter = Splitter(bundle)
        self._published = Published(self.valkey)
        self._most_nodes, self._members_s = most_nodes, members_s
        self._nodes: dict[tuple[str, tuple[str, int]], RemoteNode] = {}
        self.own: tuple[str, Node] | None = None
        """In a worker: its own id, and the object that searches and reads there."""
        self._is_beside = False

    def with_reader(self, reader: Reader) -> ClusterQA:
        """Returns a runtime in which another reader decides, with the same connections; as `EdgeQA.with_reader`."""
        made = copy.copy(self)
        EdgeQA.__init__(made, self.bundle, self._equipment.overrides.but(reader=reader), others=self._equipment)
        made._is_beside = True  # noqa: SLF001 - of this class
        return made

    # --- asking --------------------------------------------------------------------------------------------------

    def _node_of(self, member: Member) -> Node:
        if self.own is not None and self.own[0] == member.id:
            return self.own[1]
        made = RemoteNode(member, self.secrets, lambda: self._trusted)
        node = self._nodes.setdefault((member.id, member.http), made)
        node.meet(member)
        return node

    @forking.cached_property
    def _trusted(self) -> ssl.SSLContext:
        """The settings of TLS with workers."""
        return self.valkey.address.context()

    def _moment(self, within: Within | None = None) -> tuple[Asked, ClusterScope, Equipment]:
        """Returns the workers that can be asked now, the scope of one question, and its equipment.

        Args:
            within: names of files, folders or documents, which alone are asked; None for all.
        """
        names = [] if within is None else several(within)
        if within is not None and not (names and all(names)):
            raise OptionError(name="within", value=within, expected="names of files, folders or documents")
        servers = str(self.valkey.address)
        members = self.membership.members(not_older_s=self._members_s)
        tags = self.documents.tags(not_older_s=self._members_s)
        if self._members_s and (not members or unserved(tags, members)):  # one may have come to serve them since
            members = self.membership.members()
        asked = Asked(members, self._node_of, servers)
        scope = ClusterScope(
            asked,
            self.documents,
            self._published,
            tags=tags,
            language=self.bundle.manifest.language,
            servers=servers,
            most_nodes=self._most_nodes,
            within=names,
        )
        equipment = self._equipment
        equipped = _Equipped(
            self.bundle,
            equipment.overrides,
            COMPUTED,
            equipment.model,
            SharedCache(equipment.cache, self.shelf, lambda: self._made_by(asked), scope.ahead),
            RemoteReading(asked, self.splitter, self.bundle),
            equipment,
        )
        return asked, scope, cast("Equipment", equipped)  # all that is asked of one

    def _made_by(self, asked: Asked) -> set[str]:
        """Returns the fingerprints of the devices that have read for a question."""
        found = {one.fingerprint for one in asked.members if one.shown in asked.asked}
        return found | {self._careful_fingerprint} if self._equipment.overrides.reader == "careful" else found

    @forking.cached_property
    def _careful_fingerprint(self) -> str:
        """The fingerprint of the careful reader here, which has passed its self-test; it is accepted from now on."""
        fingerprint = self._equipment.careful_key.rpartition(" ")[2]
        with contextlib.suppress(ClusterError):  # who may only read in Valkey remembers for itself
            self.documents.everywhere(("fingerprints", "SADD", fingerprint))
        return fingerprint

    def _ask(
        self,
        question: str,
        context: Given | None,
        top: int,
        force: bool,  # noqa: FBT001 - as of EdgeQA
        most_contexts: int | None,
        *,
        refresh: bool,
        within: Within | None,
        progress: Progress | None,
    ) -> Answer:
        if context is not None:
            return super()._ask(
                question, context, top, force, most_contexts, refresh=refresh, within=within, progress=progress
            )
        from edgeqa.asking.pipe import ask

        watch = Stopwatch()
        line = on_one_line(question)
        options = Options.of(top=top, force=force, most_contexts=most_contexts)

        def once() -> Answer:
            asked, scope, equipment = self._moment(within)
            alias = (scope.digest, self._identity, question, top, force, most_contexts)
            watch.over("members")
            entry = None if refresh else self._equipment.cache.front.get(alias)
            if entry is not None and type(answer := entry.value) is Answer:
                return answer
            answer = ask(
                equipment,
                cast("Any", scope),  # a passage from Valkey has all parts of a text
                line,
                options,
                watch,
                alias=alias,
                refresh=refresh,
                progress=progress or (lambda *_: None),
            )
            return _told(answer, asked)

        answer = _settled(once)
        self._counts.note(answer)
        return answer

    def remembered(
        self,
        question: str,
        context: Given | None = None,
        *,
        top: int = 1,
        force: bool = False,
        most_contexts: int | None = None,
        within: Within | None = None,
        at_hand: bool = False,
    ) -> Answer | None:
        """Returns the answer if this device remembers it; arguments as of `EdgeQA.remembered`."""
        if context is not None:
            return super().remembered(
                question,
                context,
                top=top,
                force=force,
                most_contexts=most_contexts,
                within=within,
                at_hand=at_hand,
            )
        if at_hand:
            return self._at_hand((question, top, force, most_contexts)) if within is None else None
        from edgeqa.asking.pipe import remembered

        options = Options.of(top=top, force=force, most_contexts=most_contexts)
        _, scope, equipment = self._moment(within)
        alias = (scope.digest, self._identity, question, top, force, most_contexts)
        answer = remembered(equipment, cast("Any", scope), on_one_line(question), options, Stopwatch(), alias=alias)
        if answer is not None:
            self._counts.note(answer)
        return answer

    def _at_hand(self, asked: tuple[Hashable, ...]) -> Answer | None:
        """Returns the answer if it is at hand here, and the list of workers is recent; no server is asked."""
        members = self.membership.seen(not_older_s=self._members_s)
        if members is None:
            return None
        tags = self.documents.tags(not_older_s=math.inf)
        entry = self._equipment.cache.front.get((scope_digest(members, tags), self._identity, *asked))
        return entry.value if entry is not None and type(entry.value) is Answer else None

    def get(self, name: str, *, force: bool = False) -> Answer:
        """Returns the answer of a name; arguments and errors as of `EdgeQA.get`.

        Its bare text is a plain key in Valkey from then on, for clients that know nothing of edgeqa.
        """
        answer, _, meant = _settled(lambda: self._named(name, force=force, may_read=True))
        if not force:
            with contextlib.suppress(ClusterError):  # only clients without edgeqa need it
                pledges.leave(self.valkey, meant, name, answer)
        self._counts.note(answer)
        return answer

    def remembered_name(self, name: str, *, force: bool = False, at_hand: bool = False) -> Answer | None:
        """Returns the answer of `get` if this device remembers it; arguments as of `EdgeQA.remembered_name`."""
        if at_hand:
            return None
        try:
            return self._named(name, force=force, may_read=False)[0]
        except NotRemembered:
            return None

    def forget_name(self, name: str, *, force: bool = False) -> bool:
        """Deletes the remembered answer of `get`; arguments as of `EdgeQA.forget_name`."""
        try:
            _, key, _ = self._named(name, force=force, may_read=False)
        except NotRemembered:
            return False
        self.shelf.forget(key)
        return self._equipment.cache.forget(key)

    def _named(self, name: str, *, force: bool, may_read: bool) -> tuple[Answer, Key, Address]:
        from edgeqa.asking.pipe import decide

        watch = Stopwatch()
        possible = meanings(name)
        found = self.documents.at([one.address for one in possible])
        meant, held = next(
            ((one, held) for one, held in zip(possible, found, strict=True) if held is not None), (possible[0], None)
        )
        if held is None:
            raise ContextGone(possible[0].address)
        watch.over("context")
        line = on_one_line(meant.question)
        asked, scope, equipment = self._moment()
        scope.is_given = True
        options = Options(force=bool(force))
        asking = Asking(equipment, cast("Any", scope), line, options, watch, may_read=may_read)
        passage = scope.placed(held)
        if asking.is_careful(passage):  # the fast reader is not needed
            asking.look_again(passage)
        else:
            asking.offer(passage, share=1.0)
        answer = decide(equipment, line, asking.outcome(), options, watch, cached=not asking.read_anew)
        assert asking.part is not None  # noqa: S101 - for mypy: a passage from a cluster has a digest
        return _told(answer, asked), asking.part[0], meant.address

    def closest(self, question: str, most: int = 5, *, within: Within | None = None) -> list[ClosePassage]:
        """Returns the passages that share the most with the question; arguments as of `EdgeQA.closest`."""
        _, scope, _ = self._moment(within)
        found = []
        for hit in scope.search(on_one_line(question), most).best:
            placed = scope.passage(hit)
            if placed is not None:
                found.append(placed.as_close(hit.score))
        return found

    def show(self, source: str | Path, place: tuple[int, int] | None = None, *, files: bool = True) -> Shown:
        """Returns a part of a document of the cluster with the text around it; arguments as of `EdgeQA.show`."""
        del files  # no file is read
        name = os.fspath(source)
        address = Address.parse(name) if place is None else None
        if address is not None:
            (held,) = self.documents.at([address])
            if held is None:
                raise ContextGone(address)
            place, name = extent(held.text, held.start, held.pieces), address.document
        passages: list[HeldPassage] = []
        for tag in (address.tag,) if address else self.documents.tags():
            stored = self.documents.document(tag, name)
            if stored is not None:
                passages = self.documents.passages(tag, stored)
                break
        shown = of_passages(name, passages, place) if passages else None
        if shown is None:
            raise ContextGone(source)
        return shown

    # --- changing ------------------------------------------------------------------------------------------------

    def add(
        self,
        paths: Paths,
        *,
        text_field: str | None = None,
        title_field: str | None = None,
        name: str | None = None,
        copied: bool = False,
        format: str | None = None,
        exclude: str | Iterable[str] = (),
        encodings_bytes: int | Later | None = None,
        re_encode: bool = False,
        progress: Progress | None = None,
    ) -> Added:
        """Adds files and folders to the cluster; arguments as of `EdgeQA.add`, but none about encodings."""
        if encodings_bytes is not None or re_encode:
            raise NotInCluster("encodings of its own: workers make them (edgeqa worker --encodings SIZE)")  # noqa: EM101
        return self._added(
            paths, (text_field, title_field, format, exclude), name=name, copied=copied, progress=progress
        )

    def sync(
        self,
        paths: Paths,
        *,
        text_field: str | None = None,
        title_field: str | None = None,
        name: str | None = None,
        format: str | None = None,
        exclude: str | Iterable[str] = (),
        encodings_bytes: int | Later | None = None,
        drop_all: bool = False,
        progress: Progress | None = None,
    ) -> Added:
        """Adds like `add`, and removes documents that are gone; arguments as of `EdgeQA.sync`, without encodings."""
        if encodings_bytes is not None:
            raise NotInCluster("encodings of its own: workers make them (edgeqa worker --encodings SIZE)")  # noqa: EM101
        how = (text_field, title_field, format, exclude)
        return self._added(paths, how, name=name, drop_gone=True, drop_all=drop_all, progress=progress)

    def _added(
        self,
        paths: Paths,
        how: tuple[str | None, str | None, str | None, str | Iterable[str]],
        *,
        name: str | None,
        copied: bool = False,
        drop_gone: bool = False,
        drop_all: bool = False,
        progress: Progress | None,
    ) -> Added:
        from edgeqa.formats import folders
        from edgeqa.formats.blocks import FormatOptions

        text_field, title_field, format, exclude = how
        return self.adding().run(
            several(paths),
            FormatOptions(text_field, title_field, format, folders.several(exclude)),
            name=name,
            copied=copied,
            drop_gone=drop_gone,
            drop_all=drop_all,
            progress=progress or (lambda *_: None),
        )

    def adding(self) -> AddingToCluster:
        """Returns the object that adds to the cluster, and removes from it."""
        return AddingToCluster(self.valkey, self.documents, self.bundle, self.splitter)

    def remove(self, names: Paths) -> list[str]:
        """Removes files, folders or documents; arguments and errors as of `EdgeQA.remove`."""
        return [gone.name for gone in self.adding().remove(several(names))]

    def list(self) -> tuple[ListedInCluster, ...]:  # type: ignore[override]  # what is listed has the same fields, and `first`
        """Returns the documents of the cluster, by name."""
        return tuple(self.documents.listed())

    def verify(self, *, repair: bool = False) -> ClusterVerified:  # type: ignore[override]  # it has `sound` and `to_json`, too
        """Reads all documents in Valkey; returns those that are damaged, and the tags without a worker."""
        from edgeqa.cluster.verifying import verified

        if repair:
            raise NotInCluster("repair: add again what is damaged")  # noqa: EM101
        return verified(self.documents, self.membership)

    def key(self, question: str, *_: object, **__: object) -> Key:
        """Refuses, because the key of an answer changes with the living workers."""
        del question
        raise NotInCluster("keys of questions")  # noqa: EM101

    def check(self) -> None:
        """Checks that the cluster answers, and that its documents are made with this model.

        Raises:
            ClusterError: if either is not so.
        """
        from edgeqa.collection.snapshot import EncoderIdentity

        self.valkey.refresh()
        self.documents.made_with(EncoderIdentity.of(self.bundle))

    def close(self) -> None:
        """Closes all connections, frees the model and closes the cache. It may be called again."""
        if not self._is_beside:
            for node in self._nodes.values():
                node.close()
            self.shelf.close()
            self.valkey.close()
        super().close()


def _settled(ask: Callable[[], T]) -> T:
    """Asks, and asks again if a passage has changed meanwhile."""
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(PassageChanged):
            return ask()
        time.sleep(_PAUSE_S)
    return ask()


def _told(answer: Answer, asked: Asked) -> Answer:
    """Returns the answer with the workers that were asked for it."""
    return replace(answer, nodes_asked=tuple(asked.asked), nodes_silent=tuple(asked.silent))
