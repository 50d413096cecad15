"""Tables and documents on standard output."""

import json

from gristmill.cli import output
from gristmill.cli.options import DocumentFormat, RowFormat


def streamed(answers):
    def stream(kind, _):
        return iter(answers[kind])

    return stream


def test_a_table_is_as_wide_as_its_texts_and_wide_characters_count_two(capsys):
    output.show_table(["name", "n"], [["서울", "5"], ["Busan", "1000"]], {"n"})

    assert capsys.readouterr().out == "name      n\n서울      5\nBusan  1000\n"


def test_control_characters_of_data_do_not_reach_the_terminal(capsys):
    output.show_table(["a"], [["\x1b[31mred\n\x07"]], ())
    output.show_document({}, DocumentFormat.table, {"label": "\x1b]0;title\x07"})

    said = capsys.readouterr().out
    assert "\\x1b[31mred\\n\\x07" in said
    assert "\x1b" not in said


def test_rows_of_a_table_say_when_there_are_more(capsys):
    rows = b"k,v\n" + b"".join(b"%d,x\n" % n for n in range(4))

    output.show_rows(
        streamed({"csv": [rows[:5], rows[5:]]}), RowFormat.table, 3, {"k": "int64", "v": "string"}
    )

    said = capsys.readouterr()
    assert said.out == "k  v\n0  x\n1  x\n2  x\n"
    assert "--limit 0" in said.err


def test_a_cell_may_hold_line_ends_and_quotes(capsys):
    output.show_rows(streamed({"csv": [b'k,v\n"a\r\nb","c""d"\n']}), RowFormat.table, None, {})

    assert capsys.readouterr().out == 'k       v\na\\r\\nb  c"d\n'


def test_json_is_one_array_whatever_the_blocks_are(capfdbinary):
    for lines in (b"", b'{"a":1}\n', b'{"a":1}\n{"a":"\xc3\xa9"}\n'):
        for cut in range(len(lines) + 1):
            output.show_rows(streamed({"ndjson": [lines[:cut], lines[cut:]]}), RowFormat.json, None, {})
            said = json.loads(capfdbinary.readouterr().out)
            assert said == [json.loads(line) for line in lines.splitlines()]


def test_lists_are_tables_arrays_or_lines(capsys):
    documents = [{"id": "a", "n": 1000}, {"id": "b", "n": None}]
    columns = {"id": lambda one: one["id"], "count": lambda one: one["n"]}

    output.show_documents(documents, DocumentFormat.table, columns)
    assert capsys.readouterr().out == "id  count\na   1,000\nb\n"

    output.show_documents(documents, DocumentFormat.json, columns)
    assert json.loads(capsys.readouterr().out) == documents

    output.show_documents(documents, DocumentFormat.ndjson, columns)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == documents
