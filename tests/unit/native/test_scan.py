"""The scanner's proof of quotes: native and plain agree on any bytes, in any pieces."""

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.native import needs_library, path
from worker_service.readers.csv import bits
from worker_service.readers.csv.dialect import Dialect, MalformedCsv
from worker_service.readers.csv.scan import Scanner

pytestmark = needs_library


def scanned(pieces, mode):
    with path(mode):
        scanner, masked = Scanner(Dialect(delimiter=b",", quote=b'"'), 0), []
        try:
            masked = [scanner.feed(piece) for piece in pieces]
        except MalformedCsv as error:
            return error.at, str(error)
        state = scanner.inside, scanner.quoted, scanner.doubled, scanner.irregular
        return masked, state


@given(st.lists(st.text('a",\n\r', min_size=1, max_size=150), min_size=1, max_size=4))
@settings(max_examples=300)
def test_any_bytes_in_any_pieces(pieces):
    pieces = [piece.encode() for piece in pieces]
    assert scanned(pieces, "auto") == scanned(pieces, "off")


@pytest.mark.parametrize("seed", range(200))
def test_sound_files_cut_anywhere(seed):
    chance = random.Random(seed)
    cells = ["", '""', '"a,b"', '"x""y"', "plain", '"\n"', '5" x', '""""']
    text = "".join(
        ",".join(chance.choices(cells, k=3)) + chance.choice(["\n", "\r\n"]) for _ in range(60)
    ).encode()
    cuts = sorted({0, len(text), *(chance.randint(0, len(text)) for _ in range(3))})
    pieces = [text[start:stop] for start, stop in pairwise(cuts)]
    assert scanned(pieces, "auto") == scanned(pieces, "off")


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 1000])
def test_occurrences(size):
    octets = np.random.default_rng(size).integers(0, 3, size).astype(np.uint8)
    assert bits.occurrences(octets, 1) == int((octets == 1).sum())
