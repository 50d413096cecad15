"""The texts of columns of many lines of NDJSON, by msgspec: exactly as `exact` defines them, or not at all.

Values of any kind stay the bytes that the lines have. msgspec is as strict as `exact`, and stricter in a few
ways. It reads objects, not lines, as Arrow does: see `quick`. Of a key that occurs twice it takes the last
value. So every key has to occur as often as it has values, or the lines are searched for keys that do.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from worker_service.arrow import Array, Mask
from worker_service.readers.ndjson.content import Block
from worker_service.readers.ndjson.exact import Tag, compact
from worker_service.readers.ndjson.quick import other_keys, plain_lines
from worker_service.readers.ndjson.values import Texts

_NOTHING = msgspec.Raw(b"")
_SPACE = np.isin(np.arange(256), list(b" \t\r"))
"""By octet."""


@dataclass(frozen=True)
class _Object:
    """By the keys of an object, the columns, and the objects that hold some."""

    columns: Mapping[str, str]
    inner: "Mapping[str, _Object]"

    @cached_property
    def type(self) -> type[msgspec.Struct]:
        """A field for each key, named `_name` of it."""
        keys = [*self.columns, *self.inner]
        values = [(_name(no), msgspec.Raw, _NOTHING) for no in range(len(self.columns))]
        objects = [
            (_name(no), inner.type | None | msgspec.UnsetType, msgspec.UNSET)
            for no, inner in enumerate(self.inner.values(), len(self.columns))
        ]
        names = {_name(no): key for no, key in enumerate(keys)}
        return msgspec.defstruct("Object", [*values, *objects], rename=names, gc=False)


def _name(number: int) -> str:
    return f"f{number}"


@dataclass(frozen=True)
class Picker:
    """Finds the columns of lines. `unlike` are keys that would give a column in another way."""

    root: _Object
    unlike: tuple[bytes, ...]

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        return msgspec.json.Decoder(self.root.type)


class _Picked(NamedTuple):
    """A column's values by line, empty where there is none; of an object inside only their number."""

    key: str
    present: int
    column: str = ""
    texts: Texts | None = None


def picker_of(names: Collection[str], flat: Collection[str], seen: Collection[str]) -> Picker | None:
    """None for names that cannot be told apart. *flat* columns have their whole name as key.

    Of the other columns *seen*, those that share a key with *names* are found too: this counts their keys.
    """
    if any(other.startswith(f"{name}.") for name in names for other in names):
        return None
    if any(json.dumps(name, ensure_ascii=False) != f'"{name}"' for name in names):
        return None
    paths = {name: (name,) if name in flat else tuple(name.split(".")) for name in sorted(names)}
    keys = {key for path in paths.values() for key in path}
    for other in sorted(seen):
        path = tuple(other.split("."))
        if keys & set(path[1:]) and not any(_meet(path, known) for known in paths.values()):
            paths[other] = path
    unlike = tuple(quoted for name in names for quoted in other_keys(name, flat=name in flat))
    return Picker(_object(paths), unlike)


def _meet(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    """Whether one of the paths leads to the other, or to an object that holds it."""
    return all(one == other for one, other in zip(left, right, strict=False))


def _object(paths: Mapping[str, tuple[str, ...]]) -> _Object:
    inner: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, (top, *rest) in paths.items():
        if rest:
            inner.setdefault(top, {})[name] = tuple(rest)
    columns = {path[0]: name for name, path in paths.items() if len(path) == 1}
    return _Object(columns, {top: _object(rest) for top, rest in inner.items()})


def texts_of(block: Block, lines: slice, picker: Picker) -> dict[str, Texts] | None:
    """The columns of *lines* of the block by name; None unless msgspec reads all of them rightly."""
    data = plain_lines(block, lines, picker.unlike, spelled=True)
    if data is None:
        return None
    try:
        found = picker.decoder.decode_lines(data)
        picked = list(_picked(found, picker.root))
    except (msgspec.DecodeError, _NeedsExact):
        return None
    if len(found) != lines.stop - lines.start:
        return None
    present: dict[str, int] = {}
    for one in picked:
        present[one.key] = present.get(one.key, 0) + one.present
    quoted = {f'"{key}"'.encode(): count for key, count in present.items()}
    doubtful = [key for key, count in quoted.items() if data.count(key) != count]
    if doubtful and _some_key_twice(block, lines, doubtful):
        return None
    return {one.column: one.texts for one in picked if one.texts is not None}


class _NeedsExact(Exception):
    """A text that may make a bad row."""


def _picked(found: Sequence[Any], of: _Object) -> Iterator[_Picked]:
    for no, (key, column) in enumerate(of.columns.items()):
        value = attrgetter(_name(no))
        texts, present = _texts([value(one) if one else _NOTHING for one in found])
        yield _Picked(key, present, column, texts)
    for no, (key, inner) in enumerate(of.inner.items(), len(of.columns)):
        value = attrgetter(_name(no))
        objects = [value(one) if one else msgspec.UNSET for one in found]
        yield _Picked(key, sum(one is not msgspec.UNSET for one in objects))
        yield from _picked(objects, inner)


def _some_key_twice(block: Block, lines: slice, keys: Sequence[bytes]) -> bool:
    """Whether an object has a key twice, in one of the *lines* that have one of *keys* more than once."""
    for _, line in block.lines(lines.start, lines.stop):
        if any(line.count(key) > 1 for key in keys):
            try:
                json.loads(line, object_pairs_hook=_check_once, parse_int=len, parse_float=len)
            except _NeedsExact:
                return True
    return False


def _check_once(pairs: list[tuple[str, object]]) -> None:
    if len(pairs) > 1 and len({key for key, _ in pairs}) < len(pairs):
        raise _NeedsExact


def _texts(raws: Sequence[msgspec.Raw]) -> tuple[Texts, int]:
    """The texts of values, and how many there are, nulls too. Raises _NeedsExact."""
    octets = np.frombuffer(b"\n".join([*raws, b""]), np.uint8)
    ends = np.flatnonzero(octets == ord("\n"))  # no value of a line has one
    starts = np.append(np.zeros(1, np.int64), ends[:-1] + 1)[: ends.size]
    first = octets[starts]  # of an empty one a line feed
    present = int(np.count_nonzero(ends > starts))
    tagged: dict[Tag, Mask] = {
        "string": first == ord('"'),
        "json": (first == ord("{")) | (first == ord("[")),
        "bool": (first == ord("t")) | (first == ord("f")),
        "number": (first == ord("-")) | ((first >= ord("0")) & (first <= ord("9"))),
    }
    valid = np.logical_or.reduce(list(tagged.values()))
    text = _cut(octets, starts, ends, tagged, valid)
    escaped = _rows_with(octets, starts, tagged["string"] | tagged["json"])
    if escaped.size:
        own = np.zeros(first.size, np.bool_)
        own[escaped] = True
        values = [_unescaped(bytes(raws[row]).decode()) for row in escaped]
        text = pc.replace_with_mask(text, pa.array(own), pa.array(values, pa.string()))
    return Texts(text, tagged), present


def _cut(
    octets: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    tagged: Mapping[Tag, Mask],
    valid: Mask,
) -> Array:
    """The values without their quotes and the spaces between values; null unless *valid*.

    Those with an escaped quote may be wrong.
    """
    quoted, nested = tagged["string"], tagged["json"]
    kept = np.ones(octets.size, np.bool_)
    kept[ends] = False
    if nested.any():
        quotes = np.cumsum(octets == ord('"'))
        before = quotes[starts] - (octets[starts] == ord('"'))
        outside = (quotes - np.repeat(before, ends + 1 - starts)) % 2 == 0
        kept &= ~(outside & _SPACE[octets])
    kept[starts[quoted]] = kept[ends[quoted] - 1] = False
    for start, end in zip(starts[~valid].tolist(), ends[~valid].tolist(), strict=True):
        kept[start:end] = False
    bounds = np.zeros(octets.size + 1, np.int32)
    np.cumsum(kept, out=bounds[1:])
    bits = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.StringArray.from_buffers(
        starts.size,
        pa.py_buffer(np.append(bounds[starts], bounds[-1])),
        pa.py_buffer(octets[kept]),
        None if valid.all() else bits,
    )


def _rows_with(
    octets: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], mask: Mask
) -> npt.NDArray[np.int64]:
    """The rows of *mask* that have a backslash."""
    at = np.flatnonzero(octets == ord("\\"))
    rows = np.unique(np.searchsorted(starts, at, side="right") - 1)
    return rows[mask[rows]]


def _unescaped(raw: str) -> str:
    """The text of a JSON value. Raises _NeedsExact for NUL; msgspec has refused half characters."""
    text: str = json.loads(raw) if raw.startswith('"') else compact(raw)
    if "\0" in text:
        raise _NeedsExact
    return text
