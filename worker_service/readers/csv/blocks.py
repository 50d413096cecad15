"""The content of a CSV file as blocks of whole records, cut exactly and without parsing."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

import numpy as np

from shared.core.plan import Guess
from shared.errors import CutsRefuted
from worker_service.readers.csv import bits, scan
from worker_service.readers.csv.dialect import Dialect
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.masked import count_delimiters, first_end, is_odd, last_end
from worker_service.readers.csv.scan import Scanner

_BUFFER = 1024 * 1024
"""Bytes of a stream to take at a time."""
_WINDOW = 64 * 1024
"""Bytes whose line feeds are counted together."""
_LF = b"\n"[0]


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records: the first `size` bytes of `data`.

    `masked` are the masked bytes of `data`: the same object where none is masked. `offset` is that of the
    first byte. `quoted` and `doubled` say whether the records may hold quotes, and two quotes in a row, as an
    empty field has.
    """

    offset: int
    data: bytes
    masked: bytes
    size: int
    dialect: Dialect
    quoted: bool
    doubled: bool

    def __contains__(self, octet: bytes) -> bool:
        return self.masked.find(octet, 0, self.size) >= 0

    def first(self, size: int) -> "Block":
        """Its first *size* bytes, with nothing behind them."""
        data = self.data[:size]
        masked = data if self.masked is self.data else self.masked[:size]
        return replace(self, data=data, masked=masked, size=size)

    def delimiters(self) -> int:
        """How many the records have outside quotes."""
        return count_delimiters(np.frombuffer(self.masked, np.uint8, self.size), self.dialect)

    def exact(self) -> "Block":
        """The same without the bytes behind the records: a copy, for errors only."""
        return self.first(self.size)


def file_blocks(
    file: CsvFile, start: int, end: int, size: int, guesses: Collection[Guess] = ()
) -> Iterator[Block]:
    """The records in the bytes [start, end) of an unstreamed file, in blocks of about *size* bytes.

    *start* is a record start. The end of each read, a part of a record, is read again: that is cheaper than
    to move the rest. Raises MalformedCsv, and CutsRefuted if one of *guesses* is wrong.
    """
    quote = file.dialect.quote
    want = size = min(size, scan.MAX_RECORD)
    while start < end:
        data = file.part(start, min(want, end - start), end)
        scanner = file.scanner(start)
        masked = scanner.feed(data)
        if start + len(data) == file.content.end:
            scanner.finish()
        cut = len(data) if start + len(data) == end else last_end(masked, quote, scanner.inside)
        for guess in guesses:
            if start < guess.start <= start + cut and not (
                start < guess.target and _is_first(masked, guess.target - start, guess.start - start, scanner)
            ):
                told = f"the record at or after byte {guess.target} does not start at byte {guess.start}"
                raise CutsRefuted(f"{file.uri}: {told}, as it was guessed")
        if cut:
            yield Block(start, data, masked, cut, file.dialect, scanner.quoted, scanner.doubled)
            start, want = start + cut, size
        elif want == scan.MAX_RECORD:
            raise scan.too_long(start)
        else:
            want = min(4 * want, scan.MAX_RECORD)
        del data, masked  # or they would stay in memory while the next ones are read


def _is_first(masked: bytes, target: int, start: int, scanner: Scanner) -> bool:
    """Whether the first record that begins at or after *target* begins at *start*.

    *masked* begins with a record; *scanner* is at its end.
    """
    inside = False
    if scanner.quoted and target > len(masked) // 2:
        inside = scanner.inside != is_odd(masked, scanner.quote, target - 1, len(masked))
    elif scanner.quoted:
        inside = is_odd(masked, scanner.quote, 0, target - 1)
    near = masked[target - 1 : start]
    return first_end(near, scanner.quote, inside) == len(near)


def stream_blocks(file: CsvFile, start: int, size: int) -> Iterator[Block]:
    """The records of a stream from the record start *start* on, in blocks of at least *size* bytes.

    Raises MalformedCsv.
    """
    return _joined_blocks(file.buffers(min(size, _BUFFER), start), file, start, size)


def _joined_blocks(buffers: Iterable[bytes], file: CsvFile, offset: int, size: int) -> Iterator[Block]:
    """*buffers*, the first of which is at *offset*, joined into blocks."""
    scanner = file.record_scanner(offset)
    held: list[tuple[bytes, bytes]] = []
    length = 0
    for buffer in buffers:
        at = offset + length
        masked = scanner.feed(buffer)
        held.append((buffer, masked))
        length += len(buffer)
        cut = scanner.record - at
        if length < size or cut <= 0:
            continue
        held[-1] = _slice(buffer, masked, 0, cut)
        block = _joined(offset, held, file.dialect, scanner)
        held, length = [_slice(buffer, masked, cut, len(buffer))], len(buffer) - cut
        yield block
        offset += block.size
        del block
    scanner.finish()
    if length:
        yield _joined(offset, held, file.dialect, scanner)


def _slice(data: bytes, masked: bytes, start: int, stop: int) -> tuple[bytes, bytes]:
    part = data[start:stop]
    return part, part if masked is data else masked[start:stop]


def _joined(offset: int, held: list[tuple[bytes, bytes]], dialect: Dialect, scanner: Scanner) -> Block:
    data = b"".join(part for part, _ in held)
    regular = all(part is masked for part, masked in held)
    masked = data if regular else b"".join(masked for _, masked in held)
    return Block(offset, data, masked, len(data), dialect, scanner.quoted, scanner.doubled)


class LineFeeds:
    """Counts the line feeds in the bytes of a block: once, and only if it is asked."""

    def __init__(self, block: Block) -> None:
        self._data = block.data
        self._octets = np.frombuffer(block.data, np.uint8, block.size)

    @cached_property
    def _sums(self) -> list[int]:
        """How many lie before each window."""
        starts = range(0, self._octets.size, _WINDOW)
        return [0, *accumulate([bits.occurrences(self._octets[a : a + _WINDOW], _LF) for a in starts])]

    def all(self) -> int:
        return self._sums[-1]

    def before(self, at: int) -> int:
        """How many lie before byte *at* of the block."""
        window = at // _WINDOW
        return self._sums[window] + int(np.count_nonzero(self._octets[window * _WINDOW : at] == _LF))

    def line(self, number: int) -> tuple[int, int]:
        """The bytes [start, stop) of a line by its number from 0, without its line feed."""
        start = 0
        if number:
            window = bisect_right(self._sums, number - 1) - 1
            feeds = np.flatnonzero(self._octets[window * _WINDOW : (window + 1) * _WINDOW] == _LF)
            start = window * _WINDOW + int(feeds[number - 1 - self._sums[window]]) + 1
        stop = self._data.find(b"\n", start, self._octets.size)
        return start, stop if stop >= 0 else self._octets.size


def count_records(block: Block, file: CsvFile, ragged: Collection[int] = ()) -> int:
    """The number of records, from the bytes alone: the parser's rows are checked against it.

    Every record has as many delimiters outside quotes as the header, but for those that the parser refuses:
    *ragged* has their numbers of fields. So delimiters are counted, and the kinds of line ends and empty
    lines do not matter. Only records of a single field have no delimiter.
    """
    fields = len(file.names)
    if fields > 1:
        delimiters = block.delimiters() - sum(ragged) + len(ragged)
        return delimiters // (fields - 1) + len(ragged)
    if block.quoted or file.dialect.comment or b"\r" in block:
        return len(file.records(block.exact().masked).starts)
    ended = block.masked[block.size - 1 : block.size] == b"\n"
    return bits.occurrences(np.frombuffer(block.masked, np.uint8, block.size), _LF) + (not ended)
