"""The table of encodings, proved by asking each codec for every sequence of bytes that could refute it."""

import codecs
from itertools import product

import pytest

from shared.spec.encodings import SHARED, WIDE

ASCII = bytes(range(128))


def grown(encoding, starts):
    """Of all sequences of one byte more than *starts*: whole characters, and those that can become one."""
    whole, begun = [], []
    for start, octet in product(starts, range(256)):
        octets = start + bytes([octet])
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(octets)
        except UnicodeDecodeError:
            continue
        (whole if text else begun).append(octets)
    return whole, begun


def parts_of_characters(encoding):
    """The ASCII bytes in characters of several bytes: of all short ones and a sample of the long ones."""
    found = set()
    _, begun = grown(encoding, [b""])
    while begun:
        whole, begun = grown(encoding, begun[:: 1 if len(begun) < 300 else len(begun) // 100])
        found.update(*whole)
    return found & set(ASCII)


@pytest.mark.parametrize("encoding", SHARED)
def test_every_ascii_byte_stands_for_its_character(encoding):
    assert codecs.lookup(encoding).name == encoding
    assert [bytes([octet]).decode(encoding) for octet in ASCII] == [chr(octet) for octet in ASCII]


@pytest.mark.parametrize("encoding", sorted(set(SHARED) - {"utf-8"}))
def test_the_table_has_every_ascii_byte_that_can_be_a_part_of_another_character(encoding):
    assert parts_of_characters(encoding) == set(SHARED[encoding].encode())


def test_no_line_end_and_no_usual_delimiter_is_ever_a_part_of_a_character():
    assert not set("".join(SHARED.values())) & set("\r\n\0,;\t\"'#")


@pytest.mark.parametrize("encoding", WIDE)
def test_in_a_wide_encoding_a_line_feed_is_not_one_byte(encoding):
    assert codecs.lookup(encoding).name == encoding
    assert len("\n".encode(encoding)) > 1
