"""Tests reading mails, one by one and in folders."""

from __future__ import annotations

import base64
from email.message import EmailMessage
from typing import TYPE_CHECKING

import pytest
from reading import read, text

from edgeqa.formats import mail
from edgeqa.formats.blocks import FileDamaged, FileExcessive, FormatOptions

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.formats.blocks import Block


def made(body: str = "The pump arrives on Friday.\n\n> When?\n", **fields: str) -> EmailMessage:
    message = EmailMessage()
    for field, value in {"From": "Ann <ann@example.org>", "To": "Bob", "Subject": "The pump", **fields}.items():
        message[field] = value
    message.set_content(body)
    return message


def blocks(data: bytes, step: int = 1 << 16) -> list[Block]:
    pieces = iter([data[at : at + step] for at in range(0, len(data), step)])
    return [block for r in mail.read(pieces, "a.eml", FormatOptions()) for block in r.blocks]


def joined(data: bytes) -> str:
    return "".join(block.before + block.text for block in blocks(data))


HEAD = "From | Ann <ann@example.org>\nTo | Bob\nSubject | The pump\n\n"


@pytest.mark.parametrize("step", [1, 7, 1 << 16])
def test_a_mail_is_its_fields_and_its_text(step: int) -> None:
    found = blocks(bytes(made(Date="Fri, 2 Jan 2026 10:00:00 +0100")), step)
    assert [(block.kind, block.text) for block in found] == [
        ("row", "From | Ann <ann@example.org>"),
        ("row", "To | Bob"),
        ("row", "Date | Fri, 02 Jan 2026 10:00:00 +0100"),
        ("row", "Subject | The pump"),
        ("paragraph", "The pump arrives on Friday."),
        ("paragraph", "> When?"),
    ]
    assert [found[0].text[i:j] for i, j in found[0].cells] == ["From", "Ann <ann@example.org>"]
    assert [block.begins for block in found[:2]] == [True, False]
    (record,) = mail.read(iter([bytes(made())]), "a.eml", FormatOptions())
    assert (record.name, record.title) == ("a.eml", "The pump")


def test_words_are_decoded() -> None:
    data = bytes(made("Grüße, 12 m³\n", Subject="Prüfung der Pumpe"))
    assert joined(data).endswith("Subject | Prüfung der Pumpe\n\nGrüße, 12 m³")
    for encoding in ("utf-8", "latin-1"):
        assert joined("Subject: Grüße\n\nx".encode(encoding)) == "Subject | Grüße\n\nx"
    latin = b"Subject: =?iso-8859-1?q?caf=E9?=\nContent-Type: text/plain; charset=nonsense\n\ncaf\xc3\xa9\n"
    assert joined(latin) == "Subject | café\n\ncafé"


def test_of_several_forms_the_text_is_read_and_attachments_are_named() -> None:
    message = made()
    message.add_alternative("<p>The page</p>", subtype="html")
    message.add_attachment(b"\0" * 3_000_000, maintype="image", subtype="png", filename="photo.png")
    message.add_attachment("secret log", filename="log.txt")
    assert joined(bytes(message)) == f"{HEAD}The pump arrives on Friday.\n\n> When?\n\nAttachments: photo.png, log.txt"
    page = made()
    page.set_content("<title>T</title><h1>Head</h1><table><tr><th>a<th>b<tr><td>1<td>2</table>", subtype="html")
    assert [(block.kind, block.text) for block in blocks(bytes(page))[3:]] == [
        ("heading", "Head"),
        ("header", "a | b"),
        ("row", "1 | 2"),
    ]


def test_of_a_saved_page_the_style_sheets_are_no_text() -> None:
    page = made()
    page.set_content("<p>Depth 12 m</p>", subtype="html")
    page.add_related(b"p {color: red}", "text", "css")
    page.add_related(b"<p>in a frame</p>", "text", "html")
    assert joined(bytes(page)) == f"{HEAD}Depth 12 m\n\nin a frame"


def test_a_mail_within_a_mail_is_read() -> None:
    outer = made("See below.\n")
    outer.add_attachment(made("Inner text.\n", Subject="Inner"))
    assert "See below." in joined(bytes(outer))
    assert joined(bytes(outer)).endswith("Subject | Inner\n\nInner text.")


def test_lines_that_a_program_has_cut_are_put_together() -> None:
    head = b"Subject: x\nContent-Type: text/plain; format=flowed\n\n"
    assert joined(head + b"The pump \nis blue.\n\n-- \nAnn\n") == "Subject | x\n\nThe pump is blue.\n\n-- \nAnn"
    quoted = b"> The pump \n> is \n>> Blue? \nYes. \n>no\n From here\n"
    assert joined(head + quoted) == "Subject | x\n\n> The pump is\n>> Blue?\nYes.\n> no\nFrom here"
    head = head.replace(b"flowed", b"flowed; DelSp=yes")
    assert joined(head + "漢 \n字 \nsub \nmerged\n".encode()) == "Subject | x\n\n漢字submerged"


def test_what_became_of_a_mail_is_read() -> None:
    fields = "Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; b@x\nAction:\n failed\n"
    report = f"Content-Type: message/delivery-status\n\n{fields}"
    data = several(f"{PLAIN}It failed.", report, kind="report")
    assert joined(data) == (
        "Subject | x\n\nIt failed.\n\nReporting-MTA | dns; x\n\nFinal-Recipient | rfc822; b@x\nAction | failed"
    )


def test_what_a_list_has_written_below_a_text_in_base64_stays() -> None:
    head = b"Subject: x\nContent-Transfer-Encoding: base64\nContent-Type: text/plain; charset=utf-8\n\n"
    body = base64.encodebytes("Müller, 12 m".encode())
    assert joined(head + body + b"_____\nTo leave, write.\n").endswith("Müller, 12 m\n\n_____\nTo leave, write.")
    assert joined(head + body.replace(b"=", b"")).endswith("Müller, 12 m")
    assert joined(head + b"QUJD\nD\n*\n").startswith("Subject | x")


def test_a_folder_of_mails_is_a_record_a_mail(tmp_path: Path) -> None:
    folder = tmp_path / "Inbox"
    marks = "From ann@example.org Fri Jan  2 10:00:00 2026\n"
    bodies = ("First.\n\n>From the start\n", "Second: from here\nFrom 1 to 2\n", "Third\n--\nNo boundary\n")
    folder.write_bytes(b"".join(f"{marks}{made(body)}\n".encode() for body in bodies))
    found = read(folder)
    assert [record.name for record in found] == [f"{folder}#{number}" for number in (1, 2, 3)]
    assert [record.text.removeprefix(HEAD) for record in found] == [
        "First.\n\nFrom the start",
        "Second: from here\nFrom 1 to 2",
        "Third\n--\nNo boundary",
    ]


def test_a_mail_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "1767344400.M1P1.host:2,S"
    path.write_bytes(bytes(made()))
    assert text(path).startswith("From | Ann")
    path.write_text("Note: this is no mail.\nTo: do\n\nText")
    assert text(path) == path.read_text()


def test_what_is_no_mail_is_an_error() -> None:
    for data in (b"", b"\n\n", b"just text\n", b"\0\0"):
        with pytest.raises(FileDamaged, match=r"not a readable mail file: a\.eml"):
            blocks(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"Subject: " + b"x" * (1 << 21), "one of its lines is longer"),
        (b"X: y\n" * 100_000, "headers of more than 262144 bytes"),
        (b"Content-Type: message/rfc822\n\n" * 3000, "more than 500 parts"),
        (b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n\n" * 3000, "more than 500 parts"),
    ],
)
def test_mails_made_to_fill_memory_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(FileExcessive, match=f"refused: a.eml: .*{message}"):
        blocks(data)


def test_a_text_longer_than_any_mails_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "MAX_TEXT_BYTES", 1000)
    with pytest.raises(FileExcessive, match=r"refused: a\.eml: the mail: text of more than 1000 bytes"):
        blocks(b"Subject: x\n\n" + b"text\n" * 300)
    marks = b"From a Fri Jan  2 10:00:00 2026\nSubject: x\n\n"
    folder = marks + b"a\n\n" + marks + b"text\n" * 300 + b"\n" + marks + b"c\n"
    found = [*mail.read(iter([folder]), "a.mbox", FormatOptions())]
    assert [record.name for record in found if not record.note] == ["a.mbox#1", "a.mbox#3"]
    (noted,) = (record for record in found if record.note)
    assert (noted.name, noted.note) == ("a.mbox#2", "refused: a.mbox: mail 2: text of more than 1000 bytes")


def test_a_sentence_that_begins_with_from_begins_no_mail() -> None:
    marks = b"From a Fri Jan  2 10:00:00 2026\nSubject: x\n\n"
    (record,) = mail.read(iter([marks + b"one\n\nFrom 2020 on, 12 metres.\n"]), "a.mbox", FormatOptions())
    assert [block.text for block in record.blocks][1:] == ["one", "From 2020 on, 12 metres."]


def several(*parts: str, kind: str = "mixed", boundary: str = '"B"') -> bytes:
    made = "".join(f"--{boundary.strip(chr(34))}\n{part}\n" for part in parts)
    head = f"Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary={boundary}\n\n"
    return f"{head}{made}--{boundary.strip(chr(34))}--\n".encode()


PLAIN, PAGE = "Content-Type: text/plain\n\n", "Content-Type: text/html\n\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (several(f"{PAGE}<p>page", f"{PLAIN}text"), "page\n\ntext"),
        (several(f"{PLAIN}text", f"{PAGE}<p>page", kind="alternative"), "text"),
        (several(f"{PLAIN} ", f"{PAGE}<p>page", kind="alternative"), "page"),
        (several(f"{PLAIN}No HTML here.", f"{PAGE}<p>{'page ' * 40}", kind="alternative"), ("page " * 40).strip()),
        (several(f"{PLAIN}text", boundary="--=_B.1"), "text"),
        (b'Subject: x\nContent-Type: multipart/mixed; boundary="never"\n\ntext\n', "text"),
        (several("Content-Type: application/xhtml+xml\n\n<p>10<sup>6</sup><script src='a'/> l</p>"), "10^6 l"),
        ("Subject: x\n\nMüller".encode(), "Müller"),
        ("Subject: x\n\nMüller".encode("latin-1"), "Müller"),
        ("Subject: x\nContent-Type: text/plain; charset=us-ascii\n\nMüller".encode(), "Müller"),
        (b"Subject: x\nContent-Type: text/plain; charset=iso-8859-1\n\n5 \x80", "5 €"),
        (b"\xef\xbb\xbfSubject: x\n\ntext", "text"),
        (
            several(
                f"{PAGE}<link rel=stylesheet href='cid:s@x'>10<b class=up>6</b><b class=no>99</b>",
                "Content-Type: text/css\nContent-Location: cid:s@x\n\n.up{vertical-align:super}.no{display:none}",
                kind="related",
            ),
            "10^6",
        ),
    ],
)
def test_no_text_of_a_mail_is_lost_or_read_wrongly(data: bytes, expected: str) -> None:
    assert joined(data) == f"Subject | x\n\n{expected}"


def test_parts_within_parts_and_endless_fields_do_no_harm() -> None:
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(480))
    assert joined(b"Subject: x\n" + nested + b"\ntext\n").startswith("Subject | x")
    assert joined(b"Subject: " + b" =?utf-8?b?YQ==?=\n" * 9000 + b"\ntext\n").startswith("Subject | a")


def test_attachments_take_no_memory() -> None:
    head = b"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: image/png\n\n"
    line = base64.b64encode(b"\0" * 57) + b"\n"
    assert joined(head + line * 100_000 + b"--x\nContent-Type: text/plain\n\nfound\n--x--\n") == "found"
