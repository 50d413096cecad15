"""Many lines of NDJSON at once, by pyarrow: exactly as `exact` defines them, or not at all.

Arrow reads objects, not lines. Let every line begin with an opening brace and end with a closing one. Then no
object goes over a line end, because between two such braces of one object stands a comma. So as many objects
as lines are one object a line.

Arrow refuses a number where another type is wanted, and one that the type cannot hold exactly. It refuses a
field that is used and occurs twice. It takes a few things that `exact` does not, and the lines are searched
for these.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from shared.spec.source import SourceSpec
from shared.spec.types import Field
from worker_service.arrow import Ints, arrow_type
from worker_service.readers.literals import Column
from worker_service.readers.ndjson.content import Block
from worker_service.readers.ndjson.exact import MAX_DEPTH, Tag, openings
from worker_service.readers.ndjson.values import TAG_OF
from worker_service.readers.typed import column_at

_EXACT = 2.0**53
_NOT_JSON = re.compile(rb"-NaN|Inf(?!inity)")
"""Numbers that Arrow takes and Python does not."""
_ESCAPED_KEY = re.compile(rb'\\[^"\\]*"[ \t]*:')


@dataclass(frozen=True, slots=True)
class Layout:
    """How Arrow reads columns: the schema, their names, and signs that the lines need `exact`.

    `unlike` are keys that would give a column in another way. `decimals` match a text in place of a decimal.
    """

    schema: pa.Schema
    names: tuple[str, ...]
    unlike: tuple[bytes, ...]
    decimals: tuple[re.Pattern[bytes], ...]


def layout_of(
    fields: Sequence[Field], source: SourceSpec, tags: Mapping[str, set[Tag]], flat: Collection[str]
) -> Layout | None:
    """None if values of the kinds *tags*, which are in the first lines, are not for Arrow.

    *flat* columns have their whole name as key.
    """
    types: dict[str, pa.DataType] = {}
    for field in fields:
        seen = tags.get(field.column, set())
        wanted = TAG_OF.get(field.type.kind, "string")
        if field.declared and (seen == {"string"} or not isinstance(source.types.get(field.column), str)):
            wanted = "string"
        arrow = pa.string() if wanted == "string" else arrow_type(field.type)
        if not seen <= {wanted} or types.setdefault(field.column, arrow) != arrow:
            return None
    if any(other.startswith(f"{name}.") for name in types for other in types):
        return None
    return Layout(
        schema=pa.schema(
            _nested({name: (name,) if name in flat else tuple(name.split(".")) for name in types}, types)
        ),
        names=tuple(types),
        unlike=tuple(quoted for name in types for quoted in other_keys(name, flat=name in flat)),
        decimals=tuple(_before_text(name) for name, arrow in types.items() if pa.types.is_decimal(arrow)),
    )


def _nested(paths: Mapping[str, tuple[str, ...]], types: Mapping[str, pa.DataType]) -> list[pa.Field]:
    inner: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, (top, *_) in paths.items():
        inner.setdefault(top, {})[name] = paths[name][1:]
    return [
        pa.field(top, pa.struct(_nested(rest, types)) if all(rest.values()) else types[next(iter(rest))])
        for top, rest in inner.items()
    ]


def other_keys(name: str, *, flat: bool) -> list[bytes]:
    """The keys, in quotes, by which the column could be written in another way than the layout's."""
    parts = name.split(".")
    ends = [(i, j) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1)]
    keys = [(i, ".".join(parts[i:j])) for i, j in ends if (i == 0 and j < len(parts) if flat else j - i > 1)]
    return [f'"{key}"'.encode() for _, key in keys]


def _before_text(name: str) -> re.Pattern[bytes]:
    last = name.rsplit(".", 1)[-1]
    return re.compile(re.escape(last).encode() + rb'"[ \t]*:[ \t]*"')


def columns_of(block: Block, lines: slice, layout: Layout) -> dict[str, Column] | None:
    """The columns of *lines* of the block by name; None unless Arrow reads all of them rightly."""
    data = plain_lines(block, lines, layout.unlike, spelled=bool(layout.decimals or layout.unlike))
    if data is None or not _has_usual_numbers(data, layout):
        return None
    try:
        table = pa.json.read_json(
            pa.BufferReader(data),
            read_options=pa.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pa.json.ParseOptions(
                explicit_schema=layout.schema, unexpected_field_behavior="ignore"
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
        return None
    if table.num_rows != lines.stop - lines.start:
        return None
    if not layout.names:
        return {}
    [batch] = table.combine_chunks().to_batches()
    columns = {name: column_at(batch, name) for name in layout.names}
    return columns if _is_exact(columns, data) else None


def plain_lines(block: Block, lines: slice, unlike: Collection[bytes], *, spelled: bool) -> bytes | None:
    """The bytes of *lines*, if each begins and ends as an object does and none needs `exact`.

    None for text that is not UTF-8, for deep nesting and for keys among *unlike*. Where keys have to be
    *spelled* plainly, None for escapes in keys too.
    """
    starts, ends = (bound[lines] for bound in block.bounds)
    data = block.data[starts[0] : ends[-1]]
    octets = np.frombuffer(block.data, np.uint8)
    if not (np.all(octets[starts] == ord("{")) and np.all(octets[ends - 1] == ord("}"))):
        return None
    if b"\0" in data or any(key in data for key in unlike):
        return None
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            return None
    if spelled and b"\\" in data and _ESCAPED_KEY.search(data):
        return None
    return None if (ends - starts).max() > MAX_DEPTH and _is_deep(block, starts, ends) else data


def _is_deep(block: Block, starts: Ints, ends: Ints) -> bool:
    """Whether values may be nested too deeply in one of the long lines."""
    long = np.flatnonzero(ends - starts > MAX_DEPTH)
    return any(openings(block.data[starts[no] : ends[no]]) > MAX_DEPTH for no in long)


def _has_usual_numbers(data: bytes, layout: Layout) -> bool:
    if (b"Inf" in data or b"-NaN" in data) and _NOT_JSON.search(data):
        return False
    return not any(pattern.search(data) for pattern in layout.decimals)


def _is_exact(columns: Mapping[str, Column], data: bytes) -> bool:
    """Whether no text holds NUL, and doubles are those that `exact` takes."""
    escaped = b"\\u0000" in data
    for values in columns.values():
        if escaped and pa.types.is_string(values.type) and pc.any(pc.match_substring(values, "\0")).as_py():
            return False
        if pa.types.is_floating(values.type) and len(values) > values.null_count:
            most = pc.max(pc.abs(values)).as_py()
            if not most < _EXACT:  # a NaN is not either
                return False
    return True
