"""Tests the grammar of the Redis protocol, beside hiredis, which reads it from the other side."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgeqa.serving.resp import Error, Limits, ProtocolError, Reply, Requests, encoded

hiredis = pytest.importorskip("hiredis")

LIMITS = Limits(members=8, request_bytes=64, line_bytes=48)

members = st.lists(st.binary(max_size=8), min_size=1, max_size=8)
# What a request is made of, so that what is drawn is often nearly one.
FRAGMENTS = [b"*", b"$", b"\r\n", b"\r", b"\n", b"-", b"0", b"1", b"2", b"12", b"GET", b'"', b"'", b"\\", b" ", b"\xff"]
nearly = st.lists(st.sampled_from(FRAGMENTS), max_size=24).map(b"".join)


def sent(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def read(data: bytes, cuts: list[int] | None = None, limits: Limits = LIMITS) -> tuple[list[list[bytes]], str | None]:
    """Returns the requests in `data`, sent in pieces, and what is wrong with it."""
    requests, found = Requests(limits), []
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    try:
        for low, high in pairwise(places):
            requests.feed(data[low:high])
            for words in requests:  # one by one: what comes before a mistake counts
                found.append(words)  # noqa: PERF402
    except ProtocolError as error:
        return found, str(error)
    return found, None


def heard(data: bytes) -> object:
    """Returns the only reply in `data`, as hiredis reads it."""
    reader = hiredis.Reader()
    reader.feed(data)
    reply = reader.gets()
    assert reader.gets() is False
    return reply


@given(st.lists(members, max_size=4), st.lists(st.integers(0, 400), max_size=6))
def test_requests_are_what_was_sent_wherever_they_are_cut(asked: list[list[bytes]], cuts: list[int]) -> None:
    data = b"".join(sent(*words) for words in asked)
    assert read(data, cuts) == (asked, None)
    reader = hiredis.Reader()
    reader.feed(data)
    assert [reader.gets() for _ in asked] == asked


@given(nearly)
@example(b"*1\r\n$3\r\nGETx\r\n")
@example(b"*01\r\n$1\r\na\r\n")
@example(b"*1\r\n$-1\r\n")
@example(b'GET "a\\')
def test_no_request_is_read_otherwise_where_it_is_cut_at_every_byte(data: bytes) -> None:
    whole = read(data)
    assert read(data, list(range(len(data)))) == whole


@given(nearly)
def test_an_array_is_read_as_hiredis_reads_it_or_refused(data: bytes) -> None:
    found, wrong = read(b"*2\r\n" + data)
    if found and wrong is None:
        reader = hiredis.Reader()
        reader.feed(b"*2\r\n" + data)
        assert reader.gets() == found[0]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_whatever_comes_is_requests_or_refused(data: bytes, cuts: list[int]) -> None:
    found, _ = read(data, cuts)
    assert all(0 < len(words) <= LIMITS.members for words in found)


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (b"*9\r\n", "invalid multibulk length"),
        (b"*2147483647\r\n", "invalid multibulk length"),
        (b"*99999999999999999999999999999999999", "too big mbulk count string"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1\r\n$65\r\n", "invalid bulk length"),
        (b"*1\r\n$1073741824\r\n", "invalid bulk length"),
        (b"*2\r\n$40\r\n" + b"a" * 40 + b"\r\n$25\r\n", "invalid bulk length"),  # together too long
        (b"*1\r\n$1\r\nab\r\n", "a bulk is longer than it says"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n\r\n", "expected '$'"),
        (b"a" * 60, "too big inline request"),
        (b'GET "a\r\n', "unbalanced quotes in request"),
        (b'GET "a"b\r\n', "unbalanced quotes in request"),
        (b"a b c d e f g h i\r\n", "invalid multibulk length"),
    ],
)
def test_what_is_too_much_or_no_request_is_refused_before_it_is_kept(data: bytes, wrong: str) -> None:
    assert read(data) == ([], wrong)
    assert read(data, list(range(len(data)))) == ([], wrong)


def test_what_is_claimed_takes_no_memory() -> None:
    requests = Requests(Limits())
    requests.feed(b"*1024\r\n$1048576\r\n")
    assert list(requests) == []
    assert requests.unfinished
    requests.feed(b"a" * 1_000_000)
    assert list(requests) == []
    requests.feed(b"a" * 48_576 + b"\r\n$1\r\n")  # a second member is over the limit of all together
    with pytest.raises(ProtocolError, match="invalid bulk length"):
        list(requests)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"PING\r\n", [b"PING"]),
        (b"PING\n", [b"PING"]),
        (b"  get\t a  \r\n", [b"get", b"a"]),
        (b'GET "bertqa{8YG}_a b:{8YG}:1_Who?"\r\n', [b"GET", b"bertqa{8YG}_a b:{8YG}:1_Who?"]),
        (b'ECHO "\\x41\\"\\n\\\\"\r\n', [b"ECHO", b'A"\n\\']),
        (b"ECHO 'it\\'s \\n'\r\n", [b"ECHO", b"it's \\n"]),
        (b'ECHO ""\r\n', [b"ECHO", b""]),
        (b'ECHO a"b c"\r\n', [b"ECHO", b"ab c"]),
    ],
)
def test_a_line_is_split_as_redis_splits_it(line: bytes, words: list[bytes]) -> None:
    assert read(line, list(range(len(line)))) == ([words], None)


@pytest.mark.parametrize("nothing", [b"\r\n", b"\n", b"*0\r\n", b"*-1\r\n", b"   \r\n"])
def test_an_empty_request_asks_nothing(nothing: bytes) -> None:
    assert read(nothing + sent(b"PING")) == ([[b"PING"]], None)


replies: st.SearchStrategy[Reply] = st.recursive(
    st.binary(max_size=8) | st.none() | st.integers(-(2**63), 2**63 - 1) | st.sampled_from(["OK", "PONG"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def plain(reply: Reply) -> object:
    """Returns what a client makes of a reply of protocol 3."""
    if isinstance(reply, str):
        return reply.encode()
    if isinstance(reply, dict):
        return {key: plain(value) for key, value in reply.items()}
    return [plain(one) for one in reply] if isinstance(reply, list) else reply


@given(replies)
def test_replies_are_heard_as_they_were_meant(reply: Reply) -> None:
    assert heard(encoded(reply, 3)) == plain(reply)


def test_what_protocol_2_has_not_is_written_in_what_it_has() -> None:
    assert encoded({b"a": None}, 2) == b"*2\r\n$1\r\na\r\n$-1\r\n"
    assert encoded({b"a": None}, 3) == b"%1\r\n$1\r\na\r\n_\r\n"


def test_an_error_stays_on_its_line_whatever_is_in_it() -> None:
    assert encoded(Error("ERR no such thing: a\r\n+OK \udcff"), 2) == b"-ERR no such thing: a +OK \\udcff\r\n"
    assert isinstance(heard(encoded(Error("ERR no"), 2)), hiredis.ReplyError)
