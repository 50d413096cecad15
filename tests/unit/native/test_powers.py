"""The table of powers of five in C, computed anew from whole numbers."""

import re
from fractions import Fraction
from pathlib import Path

import worker_service.native


def test_every_power_of_five_is_the_first_128_bits_rounded_as_told():
    text = (Path(worker_service.native.__file__).parent / "source/powers.h").read_text()
    rows = re.findall(r"\{UINT64_C\(0x(\w{16})\), UINT64_C\(0x(\w{16})\)\}, /\* (-?\d+) \*/", text)
    assert [int(q) for _, _, q in rows] == list(range(-342, 309))
    for high, low, q in rows:
        exact, found = Fraction(5) ** int(q), int(high, 16) << 64 | int(low, 16)
        assert found >> 127 == 1
        shift = 0
        while exact >= 2**128:
            exact, shift = exact / 2, shift + 1
        while exact < 2**127:
            exact, shift = exact * 2, shift - 1
        assert found == exact // 1 + (-27 <= int(q) < 0)
