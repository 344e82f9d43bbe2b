"""Tests HTTP against a real server, by a client that is not ours: what each route gives, and who gets nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from running import Running, start, stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("httpx", reason="httpx is not installed")
import httpx

QUESTION = "Who designed the machine?"
TEXT = "The machine itself was designed by Charles Babbage and never finished."
OTHER = "The bridge over the river was built by Ada Stone in 1932."
UNSURE = "When did the Normans arrive in Iceland?"


def edgeqa(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "edgeqa", *arguments],
        env={"EDGEQA_HOME": str(home), "EDGEQA_READER": "fast", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
    )
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a collection."""
    home = tmp_path_factory.mktemp("home")
    (home / "machine.txt").write_text(TEXT)
    (home / "bridge.txt").write_text(OTHER)
    edgeqa(home, "add", "machine.txt", "bridge.txt")
    return home


@pytest.fixture(scope="module")
def tokens(place: Path) -> dict[str, str]:
    return {
        scope: edgeqa(place, "serve", "token", "add", f"a-{scope}", "--scope", scope).strip()
        for scope in ("ask", "add")
    }


@pytest.fixture(scope="module")
def server(place: Path, tokens: dict[str, str]) -> Iterator[Running]:
    assert tokens
    running = start(place, "--token-file", place / "tokens")
    yield running
    stop(running)


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as opened:
        yield opened


@pytest.fixture
def writer(server: Running, tokens: dict[str, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60, headers={"Authorization": f"Bearer {tokens['add']}"}) as opened:
        yield opened


def without_times(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in {"timings_ms", "cached"}}


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    said: dict[str, Any] = response.json()
    assert (said["status"], said["type"]) == (status, kind)
    assert said["title"]
    assert said["detail"]
    return said


@pytest.mark.parametrize("question", [QUESTION, UNSURE])
def test_asking_gives_the_very_object_of_the_command(place: Path, client: httpx.Client, question: str) -> None:
    for _ in range(2):
        response = client.post("/v1/ask", json={"question": question})
        assert response.status_code == 200
        expected = json.loads(edgeqa(place, "ask", question, "--json"))
        assert without_times(response.json()) == without_times(expected)
        assert list(response.json()) == list(expected)
    assert response.json()["cached"]
    assert (response.json()["answer"] is None) == (question == UNSURE)


def test_options_of_a_question_do_what_they_say(client: httpx.Client) -> None:
    asked = {"question": QUESTION, "context": TEXT, "top": 2, "force": True, "contexts": 1, "refresh": True}
    answer = client.post("/v1/ask", json=asked).json()
    assert answer["answer"] == "Charles Babbage"
    assert len(answer["candidates"]) == 2
    answer = client.post("/v1/ask", json={"question": QUESTION, "context": [OTHER, TEXT]}).json()
    assert (answer["answer"], answer["source"]) == ("Charles Babbage", "text 2")
    assert client.post("/v1/ask", json={"question": QUESTION, "within": ["machine.txt"]}).json()["answer"]
    assert client.post("/v1/ask", json={"question": QUESTION, "within": ["bridge.txt"]}).json()["answer"] is None


def test_a_path_in_a_context_is_text(place: Path, client: httpx.Client) -> None:
    answer = client.post("/v1/ask", json={"question": QUESTION, "context": str(place / "machine.txt")}).json()
    assert answer["answer"] is None
    assert "Babbage" not in json.dumps(answer)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "RequestInvalid"),
        (b"nonsense", "RequestInvalid"),
        (b"[]", "RequestInvalid"),
        (b"{}", "RequestInvalid"),
        (b"[" * 5000, "RequestInvalid"),
        (b'{"question": 5}', "RequestInvalid"),
        (b'{"question": ""}', "RequestInvalid"),
        (b'{"question": " "}', "EmptyQuestion"),
        (b'{"question": "a", "nonsense": 1}', "RequestInvalid"),
        (b'{"question": "a", "top": 0}', "RequestInvalid"),
        (b'{"question": "a", "timeout_s": 61}', "RequestInvalid"),
        (b'{"question": "a", "context": []}', "RequestInvalid"),
        (b'{"question": "a", "context": "a", "within": ["b"]}', "RequestInvalid"),
        (b'{"question": "' + b"a" * 5000 + b'"}', "RequestInvalid"),
        (b'{"question": "\xff"}', "RequestInvalid"),
    ],
)
def test_a_wrong_question_is_a_problem(client: httpx.Client, body: bytes, kind: str) -> None:
    response = client.post("/v1/ask", content=body, headers={"Content-Type": "application/json"})
    assert problem(response, 400, kind)["hint"]


def test_what_is_not_there_is_said(client: httpx.Client) -> None:
    problem(client.post("/v1/ask", json={"question": "a", "collection": "none"}), 404, "CollectionNotServed")
    problem(client.post("/v1/ask", json={"question": "a", "within": ["none"]}), 404, "ContextGone")
    problem(client.get("/nonsense"), 404, "about:blank")
    problem(client.get("/v1/ask"), 405, "about:blank")
    problem(client.post("/v1/ask", content=b"{}", headers={"Content-Type": "text/plain"}), 415, "about:blank")


def test_many_questions_are_answered_line_by_line_in_their_order(client: httpx.Client) -> None:
    questions = [QUESTION, " ", "Who built the bridge over the river?", UNSURE] * 3
    with client.stream("POST", "/v1/ask-many", json={"questions": questions}) as response:
        assert response.headers["content-type"].startswith("application/x-ndjson")
        lines = [json.loads(line) for line in response.iter_lines()]
    assert [line["question"] for line in lines] == questions
    expected = ["Charles Babbage", "EmptyQuestion", "Ada Stone", None] * 3
    assert [line["type"] if "type" in line else line["answer"] for line in lines] == expected
    problem(client.post("/v1/ask-many", json={"questions": ["a"] * 65}), 400, "RequestInvalid")


def test_a_file_is_asked_and_not_kept(client: httpx.Client) -> None:
    page = b"<h1>Machines</h1><p>The machine itself was designed by <b>Charles Babbage</b> and never finished.</p>"
    before = client.get("/v1/documents").json()
    for name, kind in (("notes/machine.html", ""), ("", "text/html; charset=utf-8")):
        response = client.post(
            "/v1/ask-file", params={"question": QUESTION, "name": name}, content=page, headers={"Content-Type": kind}
        )
        answer = response.json()
        assert answer["answer"] == "Charles Babbage", answer
        assert (answer["source"], answer["path"]) == ("machine.html" if name else "file.html", None)
        assert "<b>" not in answer["context"]
    assert client.get("/v1/documents").json() == before
    said = problem(
        client.post("/v1/ask-file", params={"question": "Who?", "name": "a.png"}, content=b"\x89PNG\r\n\x1a\n\0"),
        415,
        "ContextBinary",
    )
    assert "a.png" in said["detail"]
    assert "/tmp" not in json.dumps(said)  # noqa: S108 - it is not there
    problem(
        client.post("/v1/ask-file", params={"question": "Who?", "name": "../a"}, content=b"a"),
        400,
        "DocumentNameInvalid",
    )


def test_the_answer_of_a_name(client: httpx.Client) -> None:
    (found,) = client.get("/v1/closest", params={"question": QUESTION, "most": 1}).json()["contexts"]
    tag = found["address"].split("{")[1].split("}")[0]
    name = f"bertqa{{{tag}}}_{found['address']}_{QUESTION}"
    path = f"/v1/answers/{name.replace('?', '%3F').replace('{', '%7B').replace('}', '%7D')}"
    first = client.get(path)
    assert first.json()["answer"] == "Charles Babbage"
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(path, headers={"If-None-Match": '"other"'}).json()["cached"]
    problem(client.get("/v1/answers/nonsense"), 400, "AnswerNameInvalid")
    problem(client.get(path.replace("machine", "gone")), 404, "ContextGone")


def test_a_passage_is_found_and_shown_where_it_stands(client: httpx.Client) -> None:
    (found,) = client.get("/v1/closest", params={"question": QUESTION, "most": 1}).json()["contexts"]
    assert found["text"] == TEXT
    shown = client.get(f"/v1/contexts/{found['address']}").json()
    assert (shown["text"], shown["document"], shown["source_start"]) == (TEXT, "machine.txt", 0)
    assert client.get("/v1/documents/machine.txt").json() == {"document": "machine.txt", "text": TEXT}
    problem(client.get("/v1/contexts/machine.txt:%7B8YG%7D:99"), 404, "ContextGone")
    problem(client.get("/v1/documents/none.txt"), 404, "ContextGone")


def test_no_file_of_the_machine_is_shown(place: Path, client: httpx.Client) -> None:
    (place / "secret.txt").write_text("The password is swordfish.")
    for name in (place / "secret.txt", "/etc/passwd", "../secret.txt"):
        for room in ("documents", "contexts"):
            problem(client.get(f"/v1/{room}/{str(name).replace('/', '%2F')}"), 404, "ContextGone")


def test_what_is_there_is_listed_page_by_page(client: httpx.Client) -> None:
    collections = client.get("/v1/collections").json()
    assert collections["served"] == ["default"]
    assert collections["collections"][0]["documents"] >= 2
    first = client.get("/v1/documents", params={"most": 1}).json()
    assert [one["document"] for one in first["documents"]] == ["bridge.txt"]
    second = client.get("/v1/documents", params={"most": 1000, "after": first["next_after"]}).json()
    assert second["documents"][0]["document"] == "machine.txt"
    assert second["next_after"] is None
    assert client.get("/v1/models").json()["served"] == "edgeqa-mini"
    assert client.get("/v1/capabilities").json()["plan"]["threads"]["value"] >= 1


def test_health_metrics_and_description(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json()["status"] == "ready"
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    for line in metrics.text.splitlines():
        assert line.startswith(("# HELP edgeqa_", "# TYPE edgeqa_")) or float(line.rpartition(" ")[2]) >= 0
    described = client.get("/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    assert set(described["paths"]["/v1/documents/{name}"]) == {"get", "put", "delete"}
    ask = described["components"]["schemas"]["Ask"]
    assert ask["required"] == ["question"]
    assert ask["properties"]["question"]["maxLength"] == 4096
    assert set(described["components"]["schemas"]["Answer"]["properties"]) == {
        *client.post("/v1/ask", json={"question": QUESTION, "top": 2}).json()
    }
    named = json.dumps(described)
    for reference in {part.split('"')[0] for part in named.split("#/components/schemas/")[1:]}:
        assert reference in described["components"]["schemas"]


def test_a_document_is_put_replaced_and_deleted(client: httpx.Client, writer: httpx.Client) -> None:
    url = "/v1/documents/notes/tower.md"
    added = writer.put(url, content="# Towers\n\nThe tower was painted by Vera Klein.")
    assert (added.status_code, added.json()["files_added"]) == (200, 1)
    answer = client.post("/v1/ask", json={"question": "Who painted the tower?"}).json()
    assert (answer["answer"], answer["document"], answer["path"]) == ("Vera Klein", "notes/tower.md", None)
    changed = writer.put(url, content="# Towers\n\nThe tower was painted by Otto Brandt.")
    assert changed.json()["files_changed"] == 1
    assert client.post("/v1/ask", json={"question": "Who painted the tower?"}).json()["answer"] == "Otto Brandt"
    assert writer.delete(url).status_code == 204
    assert client.post("/v1/ask", json={"question": "Who painted the tower?"}).json()["answer"] is None
    problem(writer.delete(url), 404, "ContextGone")


def test_adding_says_how_far_it_is(writer: httpx.Client) -> None:
    headers = {"Accept": "application/x-ndjson"}
    with writer.stream("PUT", "/v1/documents/notes/lamp.txt", content="A lamp. " * 500, headers=headers) as response:
        lines = [json.loads(line) for line in response.iter_lines()]
    assert lines[-1]["files_added"] == 1
    assert all(line["doing"] == "adding" and line["done"] <= line["total"] for line in lines[:-1])
    with writer.stream("PUT", "/v1/documents/a.png", content=b"\x89PNG\r\n\x1a\n\0", headers=headers) as response:
        line = [json.loads(line) for line in response.iter_lines()][-1]
    assert (line["type"], line["status"]) == ("FormatUnknown", 415)
    assert writer.delete("/v1/documents/notes/lamp.txt").status_code == 204


@pytest.mark.parametrize(
    "name",
    [
        "..%2Fa.txt",
        "a%2F..%2F..%2Fb.txt",
        "%2Fetc%2Fa.txt",
        ".hidden.txt",
        "a%2F%2Fb.txt",
        "~$a.docx",
        "a%00b",
        "node_modules%2Fa.js",
        "a" * 300,
        "a%5Cb.txt",
        "a%09b",
    ],
)
def test_a_document_has_a_name_that_a_folder_could_hold(writer: httpx.Client, name: str) -> None:
    problem(writer.put(f"/v1/documents/{name}", content="Some text."), 400, "DocumentNameInvalid")


def test_without_a_token_nobody_changes_anything(client: httpx.Client, tokens: dict[str, str]) -> None:
    for headers in ({}, {"Authorization": f"Bearer {tokens['ask']}"}):
        for response in (
            client.put("/v1/documents/a.txt", content="Some text.", headers=headers),
            client.delete("/v1/documents/machine.txt", headers=headers),
        ):
            assert "--scope add" in problem(response, 403, "NotAllowed")["hint"]


def test_a_wrong_token_is_not_taken_for_none_and_cannot_be_guessed(client: httpx.Client) -> None:
    headers = {"Authorization": "Bearer edgeqa_wrong"}
    said = [client.post("/v1/ask", json={"question": QUESTION}, headers=headers) for _ in range(8)]
    assert said[0].headers["www-authenticate"].startswith("Bearer")
    assert [one.status_code for one in said[:5]] == [401] * 5
    assert {one.status_code for one in said[5:]} <= {429, 401}
    assert 429 in {one.status_code for one in said}
    assert client.post("/v1/ask", json={"question": QUESTION}).status_code == 200  # without one, it goes on


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8423", "127.0.0.1.evil.example", "", "[::1"])
def test_a_name_of_somebody_elses_is_not_answered_to(client: httpx.Client, host: str) -> None:
    problem(client.get("/healthz", headers={"Host": host}), 421, "HostRefused")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:8423", "192.168.1.5"])
def test_addresses_and_the_machines_own_name_are_answered_to(client: httpx.Client, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_a_page_of_another_site_can_do_nothing(client: httpx.Client, server: Running) -> None:
    for origin in ("http://evil.example", "null", f"{server.url}.evil.example"):
        response = client.post("/v1/ask", json={"question": QUESTION}, headers={"Origin": origin})
        problem(response, 403, "OriginRefused")
        assert "access-control-allow-origin" not in response.headers
    same = client.post("/v1/ask", json={"question": QUESTION}, headers={"Origin": server.url})
    assert same.status_code == 200


def test_every_reply_is_closed_to_other_pages(client: httpx.Client) -> None:
    for path in ("/", "/page/page.css", "/healthz"):
        names = [name for name, _ in client.get(path).headers.multi_items()]
        assert len(names) == len(set(names))
    for path in ("/healthz", "/nonsense", "/v1/documents"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "server" not in headers


def test_the_page_answers_without_javascript_and_takes_no_text_for_markup(
    client: httpx.Client, writer: httpx.Client
) -> None:
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "<form" in page.text
    assert client.get("/page/page.css").headers["content-type"].startswith("text/css")
    problem(client.get("/page/..%2Fpages.py"), 404, "about:blank")
    answered = client.get("/", params={"q": QUESTION})
    assert re.search("<mark[^>]*>Charles Babbage</mark>", answered.text)
    writer.put("/v1/documents/bad.txt", content="The <script>alert(1)</script> & co was written by Mallory Quick.")
    for question in ("Who wrote the <script>alert(1)</script>?", "Who was the <script> & co written by?"):
        found = client.get("/", params={"q": question}).text
        assert "<script>" not in found
    assert writer.delete("/v1/documents/bad.txt").status_code == 204
    assert client.get("/", params={"q": " . "}).status_code in {200, 400}


def test_a_body_is_within_its_limits(client: httpx.Client) -> None:
    large = b'{"question": "' + b"a" * (1 << 20) + b'"}'
    headers = {"Content-Type": "application/json"}
    problem(client.post("/v1/ask", content=large, headers=headers), 413, "TooLarge")
    problem(client.post("/v1/ask", content=iter([large]), headers=headers), 413, "TooLarge")


def test_curl_asks(server: Running) -> None:
    body = json.dumps({"question": QUESTION})
    command = ["curl", "--silent", "--fail", f"{server.url}/v1/ask", "--json", body]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("curl is not installed")
    assert json.loads(done.stdout)["answer"] == "Charles Babbage"
