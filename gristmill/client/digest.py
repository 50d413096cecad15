"""The digest of a result, computed again from its rows as docs/exactness.md describes it. Pure.

The rows come in the order of `_id`, which begins with the number of the bucket.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from struct import pack
from typing import Any

from gristmill.client.csv_cells import Cells
from gristmill.client.documents import Column

BUCKET_BITS = 40
"""The bits of `_id` below the number of the bucket."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = _EPOCH.date().toordinal()
_MICROSECOND = timedelta(microseconds=1)


class Digest:
    """Takes the records of a CSV export, each with its `_id` in front."""

    def __init__(self, columns: Sequence[Column]) -> None:
        names = [[column["name"], column["type"]] for column in columns]
        text = json.dumps(names, ensure_ascii=False, separators=(",", ":"))
        self._whole = sha256(f"gristmill.digest.1\n{text}\n".encode())
        self._encoders = [_encoder(column["type"]) for column in columns]
        self._bucket: int | None = None
        self._rows: Any = sha256()

    def add(self, record: Cells) -> None:
        number, *cells = record
        assert number is not None  # every row has one
        bucket = int(number) >> BUCKET_BITS
        if bucket != self._bucket:
            self._end_bucket()
            self._bucket = bucket
        self._rows.update(
            b"".join(
                b"\0" if cell is None else b"\1" + encode(cell)
                for encode, cell in zip(self._encoders, cells, strict=True)
            )
        )

    def text(self) -> str:
        """The digest, once all records were added."""
        self._end_bucket()
        return f"sha256:{self._whole.hexdigest()}"

    def _end_bucket(self) -> None:
        if self._bucket is not None:
            self._whole.update(pack("<H", self._bucket) + self._rows.digest())
            self._rows = sha256()
            self._bucket = None


def _encoder(kind: str) -> Callable[[str], bytes]:
    """The canonical bytes of a value that is not null."""
    if kind.endswith("[]"):
        return _array(_encoder(kind[:-2]))
    return _whole if kind.startswith("decimal") else _ENCODERS[kind]


def _array(encode: Callable[[str], bytes]) -> Callable[[str], bytes]:
    def encoded(cell: str) -> bytes:
        elements = json.loads(cell, parse_float=str, parse_int=str)
        return pack("<I", len(elements)) + b"".join(
            b"\0" if each is None else b"\1" + encode(str(each)) for each in elements
        )

    return encoded


def _whole(cell: str) -> bytes:
    return int(cell.replace(".", "")).to_bytes(16, "little", signed=True)


def _string(cell: str) -> bytes:
    data = cell.encode()
    return pack("<I", len(data)) + data


def _date(cell: str) -> bytes:
    return pack("<i", date.fromisoformat(cell).toordinal() - _DAY)


def _time(cell: str) -> bytes:
    return pack("<q", (datetime.fromisoformat(cell).replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND)


def _float(cell: str) -> bytes:
    return pack("<d", float(cell) + 0.0)


def _bool(cell: str) -> bytes:
    return b"\1" if cell in {"true", "True"} else b"\0"


_ENCODERS: dict[str, Callable[[str], bytes]] = {
    "bool": _bool,
    "int64": _whole,
    "float64": _float,
    "string": _string,
    "date": _date,
    "timestamp": _time,
    "timestamptz": _time,
}
