"""Tests, without a server, where things go and who is asked: slots, tags, workers, scores, addresses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.cluster import keys, statistics
from edgeqa.cluster.address import ClusterAddress
from edgeqa.cluster.errors import ClusterAddressInvalid, ClusterEmpty, NoWorker
from edgeqa.cluster.membership import Member, assigned, unserved
from edgeqa.cluster.nodes import Secrets
from edgeqa.cluster.statistics import Asked, Indexed, TermCounts
from edgeqa.collection.index import Index, IndexWriter
from edgeqa.serving.problems import status_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

A, B, C = ("10.0.0.1", 6379), ("10.0.0.2", 6379), ("10.0.0.3", 6379)


def member(
    id: str, node: tuple[str, int], *, slots: tuple[tuple[int, int], ...] = (), room: int = 0, contexts: int = 1
) -> Member:
    return Member(id, ("h", 1), None, node, slots, "00", contexts, 100, 0, "f", 1, room, 0)


def test_slots_are_those_of_the_servers() -> None:
    assert keys.slot_of("{8YG}") == 8192
    assert keys.slot_of(b"bertqa{8YG}_PMC302072.xml:{8YG}:10_Who performs viral transmission among adults") == 8192
    assert keys.slot_of("123456789") == 12739
    assert keys.slot_of("{}a") == keys.slot_of(b"{}a") != keys.slot_of("a")
    assert [keys.slot_of_tag(home) * 3 // keys.SLOTS for home in keys.HOMES] == [0, 1, 2]


@given(st.text(max_size=30), st.integers(0, 1000))
def test_all_keys_of_a_tag_are_in_its_slot(name: str, number: int) -> None:
    tag = keys.tag_of(name, number)
    assert len(tag) == 4
    for what in ("documents", "passages", "version", "arrivals", "names"):
        assert keys.slot_of(keys.of_tag(tag, what, name)) == keys.slot_of_tag(tag)
    assert keys.slot_of(f"bertqa{{{tag}}}_{name}:{{{tag}}}:1_Who?") == keys.slot_of_tag(tag)


@pytest.mark.parametrize(
    ("text", "servers", "tls"),
    [
        ("valkey://h:1", (("h", 1),), False),
        ("redis://h", (("h", 6379),), False),
        ("valkeys://u:p%40@a:1,b:2", (("a", 1), ("b", 2)), True),
        ("rediss://[::1]:7?ca=/ca.pem", (("::1", 7),), True),
        ("rediss://a:7?ca=/a@b/ca.pem", (("a", 7),), True),
        ("valkey://u:p[ss@a:1", (("a", 1),), False),
    ],
)
def test_an_address_is_read(text: str, servers: tuple[tuple[str, int], ...], tls: bool) -> None:  # noqa: FBT001
    found = ClusterAddress.parse(text)
    assert (found.servers, found.tls) == (servers, tls)


def test_a_password_is_never_shown() -> None:
    found = ClusterAddress.parse("valkeys://u:p%40ss@a:1,b:2")
    assert (found.user, found.password) == ("u", "p@ss")
    assert "p@ss" not in f"{found} {found!r}"
    for text in ("u:secret@a:1/7", "u:secret?s@a:1", "u:secret/s@a:1", "u:secret#s@a:1", "u:secret\n@a:1"):
        with pytest.raises(ClusterAddressInvalid) as refused:
            ClusterAddress.parse(f"valkey://{text}")
        assert "secret" not in f"{refused.value}{refused.value.hint}"
    assert ClusterAddress.parse("valkey://u:[\u2100ret@a:1").password == "[\u2100ret"  # noqa: S105 - none of anybody


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h:1",
        "http://h",
        "valkey://",
        "valkey://h:x",
        "valkey://h:99999",
        "valkey://a,,b",
        "valkey://h?ca=x",
        "valkey://a..b",
        "valkey://[::1:7000",
        "valkey://a:1//b",
        "valkeys://a:1?ca=",
        "valkey://a:1\n",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ClusterAddressInvalid):
        ClusterAddress.parse(text)


def test_slots_are_those_of_the_worker_beside_the_server() -> None:
    slots = [A] * 8000 + [B] * (keys.SLOTS - 8000)
    found = assigned([member("a", A), member("b", C)], slots, {A: (), B: (C,)})  # beside a replica, too
    assert (len(found["a"]), len(found["b"])) == (8000, keys.SLOTS - 8000)


def test_two_workers_beside_one_server_have_a_part_each() -> None:
    found = assigned([member("a", A), member("b", A)], [A] * keys.SLOTS, {})
    assert not found["a"] & found["b"]
    assert len(found["a"] | found["b"]) == keys.SLOTS


def test_what_has_no_worker_goes_to_the_one_with_most_room_and_stays_there() -> None:
    slots = [A] * 5000 + [B] * 5000 + [C] * (keys.SLOTS - 10000)
    a, b = member("a", A, room=1), member("b", B, room=2)
    first = assigned([a, b], slots, {})
    assert len(first["b"]) == 5000 + keys.SLOTS - 10000
    kept = member("b", B, room=0, slots=tuple(keys.ranges_of(first["b"])))
    assert assigned([a, kept], slots, {}) == first


@given(st.lists(st.tuples(st.sampled_from([A, B, C, ("x", 1)]), st.integers(0, 9)), max_size=6))
def test_every_slot_is_served_by_exactly_one(workers: list[tuple[tuple[str, int], int]]) -> None:
    members = [member(f"w{number}", node, room=room) for number, (node, room) in enumerate(workers)]
    slots = [A] * 100 + [B] * 50 + [C] * 10
    found = assigned(members, slots, {})
    every = [slot for some in found.values() for slot in some]
    assert sorted(every) == (list(range(160)) if members else [])


def test_tags_that_nobody_serves_are_named() -> None:
    tag = keys.tag_of("folder", 0)
    slot = keys.slot_of_tag(tag)
    assert unserved([tag], [member("a", A, slots=((0, slot - 1),))]) == [tag]
    assert unserved([tag], [member("a", A, slots=((slot, slot),))]) == []


TEXTS = [
    ("The harbour bridge was built by Dorman Long.", "Bridges"),
    ("A bridge of steel carries eight lanes. " * 9, "Harbour"),
    ("Owls hunt voles at night near the bridge.", ""),
    ("Whales feed on krill. " * 60, "Sea and harbour"),
]


def test_hits_are_scored_as_the_index_of_one_machine_scores_them(tmp_path: Path) -> None:
    with IndexWriter(tmp_path / "route") as writer:
        for number, (text, title) in enumerate(TEXTS):
            writer.add(number, text, title)
        writer.commit()
    question = "Which bridge at the harbour feeds owls and voles?"
    expected = {hit.number: hit.score for hit in Index(tmp_path / "route").search(question, 10).best}
    counts = TermCounts()
    indexed = [Indexed.of(text, title, (), "en") for text, title in TEXTS]
    for one in indexed:
        counts.count(one, 1)
    looked_for = ("bridg", "harbour", "feed", "owl", "vole")
    asked = Asked(
        looked_for,
        question,
        counts.contexts,
        counts.text_terms / counts.contexts,
        counts.heading_terms / counts.contexts,
        {one: counts.texts[one] for one in looked_for},
        {one: counts.headings[one] for one in looked_for},
        {},
        {},
        (),
    )
    for number, one in enumerate(indexed):
        lengths = sum(one.text.values()), sum(one.heading.values())
        found = statistics.score(asked, *statistics.frequencies(one, looked_for), *lengths)
        assert found == pytest.approx(expected[number], rel=1e-5), number


def test_counts_come_back_to_nothing() -> None:
    counts = TermCounts()
    passage = Indexed.of("owls and voles", "Animals", ("Birds",), "en")
    counts.count(passage, 1)
    assert counts.changes()["owl"] == "1,0"
    counts.count(passage, -1)
    assert set(counts.changes().values()) == {None}
    assert (counts.contexts, counts.text_terms, counts.heading_terms) == (0, 0, 0)


def test_the_likeliest_worker_is_the_one_that_has_rare_terms_often() -> None:
    members = [member(f"w{number}", A) for number in range(7)]
    held: Mapping[str, Mapping[str, int]] = {
        one.id: {"bridg": 5, "owl": 40 if one.id == "w3" else 0} for one in members
    }
    asked = Asked(("bridg", "owl"), "", 7, 9, 9, {"bridg": 35, "owl": 40}, {"bridg": 0, "owl": 0}, {}, held, ())
    found = statistics.likeliest(asked, members, 2)
    assert [one.id for one in found] == ["w3", "w0"]
    assert len(statistics.likeliest(asked, members, 9)) == 7


class _Documents:
    """Says what the secret is, as Valkey would."""

    def anywhere(self, *_: str) -> list[bytes]:
        return [b"secret"]


def test_a_request_is_good_for_a_minute_of_the_worker_and_as_it_was_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets(_Documents())  # type: ignore[arg-type]  # all that is asked of it
    now = time.time()
    signature = secrets.sign("/v1/cluster/read", b"body", int(now))
    assert secrets.is_good(signature, "/v1/cluster/read", b"body")
    assert not secrets.is_good(signature, "/v1/cluster/search", b"body")
    assert not secrets.is_good(signature, "/v1/cluster/read", b"another")
    assert not secrets.is_good("", "/v1/cluster/read", b"body")
    monkeypatch.setattr(time, "time", lambda: now + 120)
    assert not secrets.is_good(signature, "/v1/cluster/read", b"body")
    assert secrets.is_good(secrets.sign("/v1/cluster/read", b"body", int(now + 120)), "/v1/cluster/read", b"body")


def test_a_client_is_told_to_try_again_where_a_cluster_cannot_answer_now() -> None:
    assert status_of(NoWorker("127.0.0.1:6379")) == 503
    assert status_of(ClusterEmpty("127.0.0.1:6379")) == 404
