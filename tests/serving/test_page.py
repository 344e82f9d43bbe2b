"""Tests the page: as a browser without JavaScript gets it, and in a real chromium, by keyboard and pointer."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from foreign import program, python_client
from running import Running, start, stop
from second import Bases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("httpx", reason="httpx is not installed")
import httpx

HOSTILE = "The key <script>alert(1)</script> hangs behind the blue door, said R&D."
PUMP = "The pump is rated IP68. It may be submerged to a depth of 12 metres for at most 30 days."
UNSURE = "How old is the pump?"
UNKNOWN = "When did the Normans arrive in Iceland?"


def add(home: Path, name: str, text: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "edgeqa", "add", "-", "--name", name],
        input=text,
        env={"EDGEQA_HOME": str(home), "EDGEQA_READER": "fast", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("page") / "home"
    add(home, "shed.txt", HOSTILE)
    add(home, "pump.txt", PUMP)
    running = start(home, "--allow-add")
    yield running
    stop(running)


def page(server: Running, **query: str | int) -> httpx.Response:
    return httpx.get(server.url, params=query, timeout=60)


def test_an_answer_is_marked_in_its_passage_and_leads_to_its_place(server: Running) -> None:
    said = page(server, q="To what depth may the pump be submerged?")
    assert said.status_code == 200
    assert '<p class="answer">12 metres</p>' in said.text
    assert '<mark id="mark">12 metres</mark>' in said.text
    start_of = PUMP.index("12 metres")
    assert f"/?document=pump.txt&amp;start={start_of}&amp;end={start_of + 9}#mark" in said.text


def test_a_place_is_marked_in_its_document(server: Running) -> None:
    said = page(server, document="pump.txt", start=4, end=8)
    assert '<pre class="text">The <mark id="mark">pump</mark> is rated IP68.' in said.text
    assert "<mark" not in page(server, document="pump.txt", start=8, end=4).text
    assert "<mark" not in page(server, document="pump.txt", start=0, end=10**9).text


def test_nothing_that_a_text_or_a_question_says_is_markup(server: Running) -> None:
    for said in (
        page(server, q="Where does the key hang?"),
        page(server, document="shed.txt"),
        page(server, q="<script>alert(2)</script> Where does the key hang?"),
        page(server, document="<script>alert(3)</script>"),
    ):
        assert "<script>alert" not in said.text
        assert "default-src 'none'" in said.headers["content-security-policy"]


def test_without_an_answer_the_closest_passages_are_shown(server: Running) -> None:
    said = page(server, q=UNSURE)
    assert said.status_code == 200
    assert "Not sure. The closest passages:" in said.text
    assert '<article class="passage">' in said.text
    assert "Not sure. Nothing here is close to the question." in page(server, q=UNKNOWN).text


def test_what_can_be_asked_is_listed(server: Running) -> None:
    said = page(server)
    assert "What can be asked: 2 documents" in said.text
    assert '<a class="place" href="/?document=pump.txt">pump.txt</a>' in said.text


def test_a_file_is_asked_and_not_kept(server: Running) -> None:
    query = {"q": "Who built the bridge?", "name": "bridge.txt"}
    said = httpx.post(server.url, params=query, content=b"The bridge was built by Ada Stone in 1932.", timeout=60)
    assert "Ada Stone" in said.text
    assert "bridge.txt, characters 24 to 33" in said.text
    assert "What can be asked: 2 documents" in page(server).text


def test_a_document_that_is_not_there_is_said_so(server: Running) -> None:
    said = page(server, document="nothing.txt")
    assert said.status_code == 404
    assert 'role="alert"' in said.text


# --- in a browser -------------------------------------------------------------------------------------------------


def browse(scenario: str, server: Running, file: Path | str = "") -> Any:  # noqa: ANN401 - what the script prints
    """Returns what a scenario of `clients/browser.py` saw."""
    seen = python_client("browser.py", scenario, program("chromium"), server.url, file, needs="playwright")
    assert seen.get("findings", []) == []
    return seen


def test_it_is_asked_by_keyboard_and_opens_the_place(server: Running) -> None:
    seen = browse("asked_by_keyboard", server)
    assert seen["complaints"] == []
    assert "q=To+what+depth" in seen["address"]
    assert (seen["document"], seen["open"]) == ("pump.txt", False)


def test_going_back_shows_what_was_asked_before(server: Running) -> None:
    seen = browse("going_back", server)
    assert seen == {"complaints": [], "question": "To what depth may the pump be submerged?"}


def test_a_file_is_asked_then_added(server: Running, tmp_path: Path) -> None:
    file = tmp_path / "the bridge.txt"
    file.write_text("The bridge was built by Ada Stone in 1932.", encoding="utf-8")
    seen = browse("file_asked_then_added", server, file)
    assert seen["complaints"] == []
    assert seen["place"] == "the bridge.txt, characters 24 to 33"
    assert httpx.delete(f"{server.url}/v1/documents/the%20bridge.txt", timeout=60).status_code == 204


def test_it_can_be_read_on_a_phone_in_light_and_dark(server: Running) -> None:
    seen = browse("light_and_dark", server)
    assert seen["complaints"] == []
    assert seen["width"] <= 380  # nothing runs over the edge


def test_a_token_is_asked_for_where_one_is_needed(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "new.txt"
    add(home, "pump.txt", PUMP)
    file.write_text("Nothing of note.", encoding="utf-8")
    running = start(home)  # whoever asks may do nothing else
    try:
        seen = browse("refused", running, file)
    finally:
        stop(running)
    assert "token" in seen["said"].lower()
    assert seen["cookies"] == []  # a token that is wrong does not stay in the way of asking without one


def test_a_browser_lets_go_of_a_token_that_is_known_no_more(server: Running) -> None:
    for path, status in (("/?q=Who?", 401), ("/", 200), ("/v1/collections", 401)):
        with httpx.Client(base_url=server.url, timeout=60) as browser:
            browser.cookies.set("edgeqa_token", "edgeqa_of_another_day", domain="127.0.0.1")
            reply = browser.get(path)
            assert (reply.status_code, "this token is not known here" in reply.text) == (status, True)
            assert [*browser.cookies.jar] == []
            assert browser.get("/v1/collections").status_code == 200
    shown = {"Authorization": "Bearer edgeqa_of_another_day"}
    assert "set-cookie" not in httpx.get(f"{server.url}/v1/collections", headers=shown, timeout=60).headers


@pytest.fixture(scope="module")
def careful_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a careful reader that answers with IP68."""
    folder = tmp_path_factory.mktemp("careful")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEQA_HOME", str(folder / "other"))
        Bases(folder).add("rated", home=folder / "home")
    add(folder / "home", "pump.txt", PUMP)
    running = start(folder / "home", "--reader", "auto")
    yield running
    stop(running)


DEPTH = "To what depth may the pump be submerged?"


def test_the_page_is_asked_for_what_is_known_at_once_and_then_again(careful_server: Running) -> None:
    first = page(careful_server, q=DEPTH, first=1).text
    assert '<p class="answer">12 metres</p>' in first
    assert "Looking again, more carefully" in first
    assert 'id="found" aria-live="polite" aria-label="Answer" data-again>' in first
    again = page(careful_server, q=DEPTH).text
    assert '<p class="answer">rated</p>' in again
    assert "data-again" not in again
    assert '<p class="answer">rated</p>' in page(careful_server, q=DEPTH, first=1).text  # it is remembered by now


def test_a_question_may_name_its_reader(careful_server: Running) -> None:
    def asked(**more: str) -> dict[str, Any]:
        reply = httpx.post(f"{careful_server.url}/v1/ask", json={"question": DEPTH, **more}, timeout=60)
        found: dict[str, Any] = reply.json()
        return found

    assert (asked(reader="fast")["answer"], asked(reader="fast")["reader"]) == ("12 metres", "fast")
    for more in ({}, {"reader": "careful"}, {"reader": "auto"}):
        assert (asked(**more)["answer"], asked(**more)["reader"]) == ("rated", "careful")
    assert asked(reader="slow")["status"] == 400


def test_without_a_careful_reader_the_page_asks_once(server: Running) -> None:
    assert "data-again" not in page(server, q=DEPTH, first=1).text


def test_what_the_fast_reader_says_is_shown_until_the_careful_one_has_looked(careful_server: Running) -> None:
    seen = browse("looked_at_again", careful_server)
    assert (seen["first"], seen["then"], seen["complaints"]) == ("12 metres", "rated", [])
