"""Masked bytes, in buffers of every size: a byte that only looks like structure is masked, and no other."""

import csv
import io

import numpy as np
import pytest

from worker_service.readers.csv import bits
from worker_service.readers.csv.dialect import Dialect, MalformedCsv
from worker_service.readers.csv.masked import count_delimiters
from worker_service.readers.csv.scan import Scanner

PLAIN = Dialect(delimiter=b",", quote=b'"')
ESCAPED = Dialect(delimiter=b",", quote=b'"', escape=b"\\")
COMMENTED = Dialect(delimiter=b",", quote=b'"', comment=b"#")
BOTH = Dialect(delimiter=b",", quote=b'"', escape=b"\\", comment=b"#")
UNQUOTED = Dialect(delimiter=b",", quote=b"", escape=b"\\")

MASKED = [  # a ? stands for a masked byte
    (PLAIN, 'a,"b\n""",c\n', 'a,"b\n""",c\n'),
    (PLAIN, '5" pipe,"x"\n', '5? pipe,"x"\n'),
    (PLAIN, 'a"""b,"""",""\n', 'a???b,"""",""\n'),
    (PLAIN, ' "a",x""y""\r"z"', ' ?a?,x??y??\r"z"'),
    (PLAIN, '"a","b""c"\r\nd"e\r\n"f"\n', '"a","b""c"\r\nd?e\r\n"f"\n'),
    (PLAIN, '"x ""5"" y",6",7"\n"8"', '"x ""5"" y",6?,7?\n"8"'),
    (ESCAPED, 'a\\,b,"c\\"d"\n', 'a??b,"c??d"\n'),
    (ESCAPED, "\\\\,\\\\\\,\\\\\\\\\n", "??,????????\n"),
    (ESCAPED, 'a\\\nb,\\"c"\n', "a??b,??c?\n"),
    (ESCAPED, "a\\\r\nb\n", "a??\nb\n"),
    (ESCAPED, '"\\\\","\\"",\\""\n', '"??","??",???\n'),
    (COMMENTED, '#a,"b\nc,#d\n#\n"e\n#f"\n##', '#????\nc,#d\n#\n"e\n#f"\n#?'),
    (COMMENTED, 'a\r#"\r\n#"\n\n#', "a\r#?\r\n#?\n\n#"),
    (COMMENTED, ' #a"\n"#b"\n5",#c\n', ' #a?\n"#b"\n5?,#c\n'),
    (BOTH, "#\\\na\\\n#b\n\\#c\n", "#?\na??#b\n??c\n"),
    (BOTH, '"\\\n#"\n#"\\\n"\n#x\\\n"', '"??#"\n#??\n"\n#x??"'),
    (UNQUOTED, 'a"b,"c\\,\n"\n', 'a"b,"c??\n"\n'),
]


def masked(dialect, data, size):
    scanner = Scanner(dialect, 0)
    found = [scanner.feed(data[at : at + size]) for at in range(0, len(data), size)]
    scanner.finish()
    return b"".join(found)


@pytest.mark.parametrize(("dialect", "text", "expected"), MASKED)
def test_the_same_bytes_are_masked_in_buffers_of_any_size(dialect, text, expected):
    for size in range(1, len(text) + 1):
        assert masked(dialect, text.encode(), size).replace(b"\xff", b"?").decode() == expected


def test_regular_bytes_are_their_own_masked_bytes_and_not_a_copy():
    data = b'a,"b\n""",c\n'
    for dialect in (PLAIN, ESCAPED, COMMENTED, BOTH, UNQUOTED):
        assert Scanner(dialect, 0).feed(data) is data


@pytest.mark.parametrize(
    ("dialect", "text", "at", "reason"),
    [
        (PLAIN, '"a"b\n', 2, "text after the closing quote at byte 2"),
        (PLAIN, '5",6",7\n"a" \n', 10, "text after the closing quote at byte 10"),
        (PLAIN, 'a,"b"\n1,"', 8, "the quote at byte 8 is never closed"),
        (PLAIN, 'a"b,"c\n', 4, "the quote at byte 4 is never closed"),
        (ESCAPED, '"abc"\\x\n', 4, "text after the closing quote at byte 4"),
        (ESCAPED, '"abc\\"\n', 0, "the quote at byte 0 is never closed"),
        (ESCAPED, "a,b\\", 3, "nothing follows the escape character at byte 3"),
        (COMMENTED, '#"\n"a"#\n', 5, "text after the closing quote at byte 5"),
        (BOTH, '#\\"\n"a\\\\\\"', 4, "the quote at byte 4 is never closed"),
    ],
)
def test_malformed_csv_is_refused_at_its_byte_in_buffers_of_any_size(dialect, text, at, reason):
    for size in range(1, len(text) + 1):
        with pytest.raises(MalformedCsv) as caught:
            masked(dialect, text.encode(), size)
        assert caught.value.at == at
        assert caught.value.reason.startswith(reason)


@pytest.mark.parametrize("run", [64, 128, 1 << 20])
@pytest.mark.parametrize(("dialect", "text", "expected"), [one for one in MASKED if one[1].endswith("\n")])
def test_long_buffers_are_looked_at_in_runs_that_do_not_show(monkeypatch, run, dialect, text, expected):
    monkeypatch.setattr(bits, "RUN", run)
    data = text.encode() * 37
    for size in (len(data), 777, 64):
        scanner = Scanner(dialect, 0)
        found = b"".join(scanner.feed(data[at : at + size]) for at in range(0, len(data), size))
        assert found.replace(b"\xff", b"?").decode() == expected * 37
        plain = "".join(
            line
            for line in (expected * 37).splitlines(keepends=True)
            if not dialect.comment or not line.startswith("#")
        )
        quoting = {"quotechar": '"'} if dialect.quote else {"quoting": csv.QUOTE_NONE}
        assert count_delimiters(np.frombuffer(found, np.uint8), dialect) == sum(
            max(len(row) - 1, 0) for row in csv.reader(io.StringIO(plain, newline=""), **quoting)
        )
        assert scanner.doubled == (bool(dialect.quote) and '""' in expected)
        assert scanner.quoted >= (bool(dialect.quote) and '"' in expected)
