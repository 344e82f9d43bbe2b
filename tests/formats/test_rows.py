"""Tests reading JSON Lines, CSV and JSON: a record is a line, a row, an element or a paragraph."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import Read, read, text

from edgeqa import errors
from edgeqa.formats import jsonfile, nfc, tables
from edgeqa.formats.blocks import MAX_RECORD_BYTES, FormatOptions, RecordTooLong, text_of
from edgeqa.formats.folders import walk

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=30)


def blocks(data: bytes, sizes: list[int]) -> list[bytes]:
    """Returns `data` cut into blocks of these sizes, then one of the rest."""
    found = []
    for size in sizes:
        found.append(data[:size])
        data = data[size:]
    return [block for block in [*found, data] if block]


# --- JSON Lines ------------------------------------------------------------------------------------------------------


def test_json_lines_are_records_named_after_their_line(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(
        b'\xef\xbb\xbf{"id": 1, "Title": "On  e\\n", "text": "cafe\\u0301"}\r\n\r\n'
        b'{"text": "two", "id": 2}\n{"text": null}\n{"text": " "}\n{"text": "six", "Title": null}'
    )
    assert read(file) == [
        Read(f"{file}#1", "On e", "café"),
        Read(f"{file}#3", "", "two"),
        Read(f"{file}#6", "", "six"),
    ]


def test_the_fields_can_be_chosen(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "not this", "abstract": "this", "of": "that"}')
    assert read(file, text_field="abstract", title_field="of") == [Read(f"{file}#1", "that", "this")]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (
            '{"a": 1, "b": 2}',
            {"title_field": "a"},
            "line 1: which field holds the text is not clear; its fields are 'a'",
        ),
        ('{"text": ""}', {"text_field": "txt"}, "line 1: there is no field 'txt'; its fields are 'text'"),
        ('{"text": ""}', {"title_field": "t"}, "line 1: there is no field 't'; its fields are 'text'"),
        ('{"text": "x"}\n{"body": "x"}', {}, "line 2: there is no field 'text'; its fields are 'body'"),
        ('{"text": "x"}\n{"text": ["x"]}', {}, "line 2: the field 'text' is not a string"),
        ('{"text": "x"}\n{"text": 12}', {}, "line 2: the field 'text' is not a string"),
        ('{"text": "x"}\n\n{"text": "x"', {}, "line 3: not JSON"),
        ('["text"]', {}, "line 1: not a JSON object"),
        ("[" * 100_000, {}, "line 1: not JSON"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, data: str, options: dict[str, str], message: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(data)
    with pytest.raises(errors.FormatError) as raised:
        read(file, **options)
    assert str(raised.value).startswith(f"{file}, {message}")
    assert raised.value.hint


def test_a_line_longer_than_is_held_is_an_error(tmp_path: Path) -> None:
    for ending in ("jsonl", "csv"):
        file = tmp_path / f"a.{ending}"
        with file.open("w") as stream:
            stream.write("text\n" if ending == "csv" else '{"text": "x"}\n')
            stream.write("x" * (MAX_RECORD_BYTES + 100_000))
        with pytest.raises(RecordTooLong, match=r"line 2: the record is longer"):
            read(file)


@given(st.lists(st.dictionaries(TEXTS, TEXTS, max_size=3), max_size=6), st.lists(st.integers(1, 40), max_size=20))
def test_json_lines_come_through_however_they_are_cut(objects: list[dict[str, str]], sizes: list[int]) -> None:
    lines = [{**found, "text": str(found)} for found in objects]
    data = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
    read_now = jsonfile.read_lines(iter(blocks(data, sizes)), "name", FormatOptions("text"))
    found = ["".join(text_of(r.blocks)) for r in read_now]
    assert found == [nfc(line["text"]) for line in lines]


# --- CSV -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_rows_are_records_named_after_their_line(tmp_path: Path, delimiter: str) -> None:
    file = tmp_path / "a.csv"
    rows = [["id", "Body", "title"], ["1", 'one, "quoted"; |\n\nlines', "On\ne"], [], ["2", "", "none"], ["3", "three"]]
    with file.open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows(rows)
    assert read(file) == [
        Read(f"{file}#2", "On e", 'one, "quoted"; |\n\nlines'),
        Read(f"{file}#8", "", "three"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_any_way(tmp_path: Path, end: str) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(f'text,n{end}"a{end}b",1{end}c,2{end}'.encode())
    assert [r.text for r in read(file)] == ["a\nb", "c"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('text,n\n"a"b,1,2', "line 2: not CSV: "),
        ('text,n\na,1\n"never ended\n,1\nb,2', "line 3: not CSV: unexpected end of data"),
        ("text,n\n\na,1,c", "line 3: 3 fields, where the first line names 2"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path: Path, data: str, message: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(data)
    with pytest.raises(errors.FormatError) as raised:
        read(file)
    assert str(raised.value).startswith(f"{file}, {message}")


def test_a_quote_that_never_ends_fills_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('text,n\na,1\n"' + "line\n" * (MAX_RECORD_BYTES // 50))
    with pytest.raises(RecordTooLong, match=r"a\.csv, line 3: the record is longer"):
        read(file)


def test_a_long_field_is_read_and_the_limit_of_the_process_stays(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text\n" + "word " * 100_000)
    before = csv.field_size_limit()
    assert len(read(file)[0].text) == 500_000
    assert csv.field_size_limit() == before


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2), max_size=6), st.lists(st.integers(1, 40), max_size=20))
def test_rows_come_through_however_they_are_cut(rows: list[list[str]], sizes: list[int]) -> None:
    stream = io.StringIO()
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([["n", "text"], *rows])
    data = blocks(stream.getvalue().encode(), sizes)
    found = ["".join(text_of(r.blocks)) for r in tables.read(iter(data), "name", FormatOptions())]
    assert found == [nfc(row[1]) for row in rows if row[1].strip()]


# --- JSON: SQuAD and arrays ------------------------------------------------------------------------------------------


def squad(*articles: tuple[str, list[str]]) -> dict[str, object]:
    data = [{"title": t, "paragraphs": [{"context": c, "qas": [{"id": "]"}]} for c in cs]} for t, cs in articles]
    return {"version": '1.1 {["', "meta": {"data": [1]}, "data": data, "after": []}


def test_squad_paragraphs_are_records_named_after_their_article(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(squad(("Super_Bowl", ["one", " ", 'th"ree \\']), ("", ["x"]), ("Super_Bowl", ["y"]))))
    assert read(file) == [
        Read(f"{file}#Super_Bowl/1", "Super Bowl", "one"),
        Read(f"{file}#Super_Bowl/3", "Super Bowl", 'th"ree \\'),
        Read(f"{file}#2/1", "", "x"),
        Read(f"{file}#Super_Bowl (2)/1", "Super Bowl", "y"),
    ]


def test_the_file_of_the_tests_is_read_as_json_reads_it() -> None:
    file = Path(__file__).parents[1] / "data" / "squad-v1.1.json"
    expected = [p["context"] for a in json.loads(file.read_text())["data"] for p in a["paragraphs"]]
    assert [r.text for r in read(file)] == [nfc(context) for context in expected]


def test_an_array_of_objects_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps([{"content": "one", "x": [{}]}, {"content": "two", "title": "T"}], indent=1))
    assert read(file) == [Read(f"{file}#1", "", "one"), Read(f"{file}#2", "", "two")]


def test_json_lines_under_the_name_of_json_are_known(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('\n{"text": "one"}\n\n{"text": "two"}\n')
    assert [r.text for r in read(tmp_path)] == [r.text for r in read(file)] == ["one", "two"]


@pytest.mark.parametrize("data", ['{"name": "package"}', '{\n "a": [{}]\n}', "[1, 2]", "7", "", '"text"', '{"a"'])
def test_json_of_another_kind_is_left_out_of_a_folder(tmp_path: Path, data: str) -> None:
    file = tmp_path / "package.json"
    file.write_text(data)
    assert read(tmp_path) == []


@pytest.mark.parametrize("data", ["", '{"a"', "]", "[" * 100_000])
def test_what_is_no_json_is_an_error(tmp_path: Path, data: str) -> None:
    file = tmp_path / "package.json"
    file.write_text(data)
    with pytest.raises(errors.FormatError, match=r"package\.json"):
        read(file)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "the whole: not JSON"),
        ("}", "the whole: not JSON"),
        ("text", "the whole: not JSON"),
        ('[{"text": "x"}, 7]', "element 2: not a JSON object"),
        ('[{"text": "x"} {"text": "x"}]', "element 2: not a JSON object, or a comma is missing"),
        ('[{"text": "x"}, {"text": "x", }]', "element 2: not JSON"),
        ('[{"text": "x"}, {"text": "x"', "it ends in the middle, after element 2"),
        ('[["text"]]', "element 1: not a JSON object"),
        ('{"data": [{"title": "x"}]}', "article 1: not SQuAD: it has no list of paragraphs"),
        ('{"data": [{"paragraphs": [{}]}]}', "article 1: not SQuAD: a paragraph has no context"),
        ('{"data": [{"paragraphs": ' + "[" * 100_000, "it ends in the middle, after element 1"),
        ('[{"a":' + "[" * 100_000 + "]" * 100_000 + "}]", "element 1: not JSON"),
    ],
)
def test_json_that_cannot_be_read_is_an_error_with_its_place(tmp_path: Path, data: str, message: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(data)
    with pytest.raises(errors.FormatError) as raised:
        read(file)
    assert message in str(raised.value)
    assert str(file) in str(raised.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(
    elements=st.lists(st.tuples(TEXTS, st.dictionaries(TEXTS, JSON, max_size=3)), max_size=4),
    is_squad=st.booleans(),
    sizes=st.lists(st.integers(1, 40), max_size=20),
    indent=st.sampled_from([None, 1]),
)
def test_json_comes_through_however_it_is_cut(
    elements: list[tuple[str, dict[str, object]]], *, is_squad: bool, sizes: list[int], indent: int | None
) -> None:
    if is_squad:
        value: object = squad(*((text, [text]) for text, _ in elements))
    else:
        value = [{**more, "text": text} for text, more in elements]
    data = json.dumps(value, ensure_ascii=False, indent=indent).encode()
    found = jsonfile.read(iter(blocks(data, sizes)), "name", FormatOptions(None if is_squad else "text"))
    assert ["".join(text_of(r.blocks)) for r in found] == [nfc(text) for text, _ in elements if text.strip()]


# --- rows ------------------------------------------------------------------------------------------------------------


def structure(file: Path) -> list[tuple[str, list[str]]]:
    """Returns the blocks of the one record: kinds and cells, or the text of one that has none."""
    (source,) = walk([file], FormatOptions())
    (found,) = source.records()
    return [
        (block.kind, [block.text[begin:end] for begin, end in block.cells] or [block.text]) for block in found.blocks
    ]


TABLE = [("header", ["Pump", "Depth"]), ("row", ["P-1", "12 m"]), ("row", ["P-2", '5" deep'])]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b'Pump,Depth\nP-1,12 m\n\nP-2,"5"" deep"\n'),
        ("a.csv", b'\xef\xbb\xbfsep=;\r\nPump;Depth\r\nP-1;12 m\r\nP-2;"5"" deep"\r\n'),
        ("a.csv", b'"sep=|"\nPump|Depth\nP-1|12 m\nP-2|"5"" deep"\n'),
        ("a.csv", b'SEP=\t\nPump\tDepth\nP-1\t12 m\nP-2\t5" deep'),
        ("a.csv", 'Pump\tDepth\nP-1\t12 m\nP-2\t5" deep'.encode("utf-16")),
        ("a.tsv", b'Pump\tDepth\nP-1\t12 m\nP-2\t5" deep\n'),
        ("a.tab", b'Pump\tDepth\n"P-1"\t12 m\nP-2\t"5"" deep"\n'),
        ("a.jsonl", b'{"Pump": "P-1", "Depth": "12 m"}\n{"Depth": "5\\" deep", "Pump": "P-2"}'),
        ("a.json", b'[{"Pump": "P-1", "Depth": "12 m"}, {"Pump": "P-2", "Depth": "5\\" deep"}]'),
    ],
)
def test_a_table_without_a_field_of_text_is_one_record_of_rows(tmp_path: Path, name: str, data: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    assert structure(file) == TABLE
    found = text(file)
    assert found == 'Pump | Depth\nP-1 | 12 m\nP-2 | 5" deep'


@pytest.mark.parametrize(
    ("name", "data", "numbers"),
    [
        ("a.csv", "Pump,Depth\nP-1,12\nP-2,9\n", [2, 3]),
        ("a.csv", "Pump,Depth\n\nP-1,12\n,\nP-2,9\n", [3, 5]),  # blank lines and empty rows count
        ("a.csv", 'Pump,Depth\n"P-1\nthe first",12\nP-2,9\n', [2, 3]),  # lines within quotes do not
        ("a.csv", "sep=;\nPump;Depth\nP-1;12\nP-2;9\n", [2, 3]),  # nor does what parts the fields
        ("a.csv", "# of 2024\n# Pump,Depth\nP-1,12\nP-2,9\n", [3, 4]),
        ("a.csv", "Report,,\n,,\nPump,Depth,x\nP-1,12,y\n", [4]),
        ("a.tsv", 'Pump\tDepth\n\n"P-1\nthe first"\t12\nP-2\t9\n', [3, 4]),
    ],
)
def test_rows_have_the_numbers_that_a_spreadsheet_shows(
    tmp_path: Path, name: str, data: str, numbers: list[int]
) -> None:
    file = tmp_path / name
    file.write_text(data)
    (source,) = walk([file], FormatOptions())
    (found,) = source.records()
    assert [block.row for block in found.blocks if block.kind == "row"] == numbers


@pytest.mark.parametrize("delimiter", ["\t", "|"])
def test_a_quote_between_tabs_or_bars_is_a_character_unless_it_quotes_the_field(tmp_path: Path, delimiter: str) -> None:
    file = tmp_path / "a.tsv"
    data = 'id\ttext\n1\t"Deep" is a name\n2\t"never ended\n3\t"two\nlines"\n4\t"a""b"\n5\t"'
    file.write_text(data.replace("\t", delimiter))
    assert [(r.name.rpartition("#")[2], r.text) for r in read(file)] == [
        ("2", '"Deep" is a name'),
        ("3", '"never ended'),
        ("4", "two\nlines"),
        ("6", 'a"b'),
        ("7", '"'),
    ]


def test_what_stands_above_a_table_is_no_row_and_numbers_name_no_columns(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("Report,,\nPump,Depth,\nP-1,12,x\n")
    assert structure(file) == [("paragraph", ["Report"]), ("header", ["Pump", "Depth"]), ("row", ["P-1", "12", "x"])]
    file.write_text("P-1,12\nP-2,,3\n")
    assert structure(file) == [("row", ["P-1", "12"]), ("row", ["P-2", "", "3"])]
    file.write_text("")
    assert text(file) == ""


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (
            b"# Of the zones,\n#\n# by name.\n#zone\tplace\nA\tRome\n",
            ["Of the zones,\n\nby name.", "zone|place", "A|Rome"],
        ),
        (b"# Of a, b.\n\nzone\tplace\nA\tRome\n", ["Of a, b.", "zone|place", "A|Rome"]),
        (b"#\tplace\n1\tRome\n", ["#|place", "1|Rome"]),
        (b"# nothing else\n", ["nothing else"]),
    ],
)
def test_comments_stand_above_a_table_and_the_last_may_name_its_columns(data: bytes, found: list[str]) -> None:
    blocks = next(tables.read(iter([data]), "a.tsv", FormatOptions())).blocks
    assert ["|".join(b.text[i:j] for i, j in b.cells) or b.text for b in blocks] == found


def test_the_rows_below_comments_are_named_after_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"# a comment\n# title,text\nA,one\nB,two\n")
    assert read(file) == [Read(f"{file}#3", "A", "one"), Read(f"{file}#4", "B", "two")]


def test_records_of_other_fields_are_named_anew(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(
        '{"a": 1, "b": {"c": [1, "x"], "d": null}}\n{"b": {"c": true}}\n{"e": NaN, "f": [{"g": -Infinity}]}\n'
    )
    assert structure(file) == [
        ("header", ["a", "b.c", "b.d"]),
        ("row", ["1", "1, x"]),
        ("row", ["", "true"]),
        ("header", ["e", "f"]),
        ("row", ["", '[{"g": null}]']),
    ]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", '"\\ud800"', '"a\tb"', "1e999", "9" * 400])
def test_what_python_writes_beyond_json_is_read(tmp_path: Path, value: str) -> None:
    for name, data in (
        ("a.jsonl", '{{"text": "one", "x": {}}}\n\x1e{{"text": "two"}}'),
        ("a.json", '[{{"text": "one", "x": {}}}, {{"text": "two"}}]'),
    ):
        file = tmp_path / name
        file.write_text(data.format(value))
        assert [r.text for r in read(file)] == ["one", "two"]


def test_json_of_any_kind_is_names_with_their_values(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(
        json.dumps(
            {
                "name": "pump",
                "limits": {"depth": 12, "dry": False, "tags": ["a", "b"]},
                "parts": [{"id": 1, "kg": 2.5}, {"id": 2}],
                "grid": [["x", "y"], [1, 2]],
                "none": None,
            }
        )
    )
    assert structure(file) == [
        ("row", ["name", "pump"]),
        ("row", ["limits.depth", "12"]),
        ("row", ["limits.dry", "false"]),
        ("row", ["limits.tags", "a, b"]),
        ("paragraph", ["parts"]),
        ("header", ["id", "kg"]),
        ("row", ["1", "2.5"]),
        ("row", ["2"]),
        ("row", ["x", "y"]),
        ("row", ["1", "2"]),
    ]
    assert read(file)[0].title == "pump"
    file.write_text('["one", "two"]')
    assert text(file) == "- one\n- two"
    file.write_text('{"a": ' + "[" * 500 + "1" + "]" * 500 + "}")
    assert "1" in text(file)
    file.write_text("7")
    assert text(file) == "7"


def test_json_of_another_kind_that_is_too_large_is_read_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonfile, "MAX_WHOLE_BYTES", 100_000)
    file = tmp_path / "a.json"
    data = '{"a": "' + "x " * 200_000 + '"}'
    file.write_text(data)
    assert text(file) == data


def test_a_file_named_for_its_tabs_is_cut_there_whatever_its_fields_hold(tmp_path: Path) -> None:
    file = tmp_path / "zones.tsv"
    file.write_text("codes, of countries, and seas\tzone\nDE,DK,NO\tEurope/Berlin\n")
    assert "DE,DK,NO | Europe/Berlin" in text(file).replace("\t", " | ")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('name,text\na,"Big" pump\nb,40 kg\n', ['"Big" pump', "40 kg"]),
        ('name,text\na,"say "hi" now"\nb,"x, ""y"""\n', ['"say "hi" now"', 'x, "y"']),
        ('name,text\na,"never ended\nb,40 kg\n', ['"never ended', "40 kg"]),
        ('name, text\na, "x, y" \n', ["x, y"]),
        ('text\nx, y\n"a; b"\n', ["x, y", "a; b"]),
        ("\n \nsep=;\nname;text\na;12 metres\n", ["12 metres"]),
        ('name,text\na,"say \\"hi\\", ok"\nb,"x\\", y"\n"c:\\d","40 kg"\n', ['say "hi", ok', 'x", y', "40 kg"]),
    ],
)
def test_rows_that_are_plainly_meant_are_read_though_they_are_no_csv(
    tmp_path: Path, source: str, expected: list[str]
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(source)
    assert [record.text for record in read(file)] == expected


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("a.jsonl", '{"text": NaN}\n{"text": "40"},\n{"text": "b"},\n', ["40", "b"]),
        ("a.jsonl", '[\n{"text": "a"},\n{"text": "b"},\n]\n', ["a", "b"]),
        ("a.json", '[{"text": "a"}, ]', ["a"]),
    ],
)
def test_json_that_is_plainly_meant_is_read(tmp_path: Path, name: str, source: str, expected: list[str]) -> None:
    file = tmp_path / name
    file.write_text(source)
    assert [record.text for record in read(file)] == expected


def test_lines_that_are_no_utf_8_say_so(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"text": "caf\xe9"}\n{"text": "b"}\n')
    with pytest.raises(errors.FormatError, match=r"line 1: not UTF-8: the byte 0xe9") as caught:
        read(file)
    assert "iconv" in caught.value.hint
