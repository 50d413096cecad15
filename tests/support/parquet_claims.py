"""Parquet written by hand, in Thrift's compact protocol: one column with any claims."""

TRUE, FALSE, I32, I64, _BINARY, _LIST, STRUCT = 1, 2, 5, 6, 8, 9, 12
RLE, PLAIN, RLE_DICTIONARY = 3, 0, 8
INT32, TEXT = 1, 6


def _varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def _encoded(kind, value):
    if kind == _BINARY:
        return _varint(len(value)) + value
    if kind in (TRUE, FALSE):  # the kind is the value
        return b""
    if kind == _LIST:
        of, items = value
        size = bytes([len(items) << 4 | of]) if len(items) < 15 else bytes([0xF0 | of]) + _varint(len(items))
        return size + b"".join(_encoded(of, item) for item in items)
    if kind == STRUCT:
        return value
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def struct(*fields):
    """Each as (number, kind, value), ascending."""
    out, last = b"", 0
    for number, kind, value in fields:
        out += bytes([(number - last) << 4 | kind]) + _encoded(kind, value)
        last = number
    return out + b"\0"


def page(body, values, *, encoding=PLAIN, uncompressed=None):
    header = struct((1, I32, values), (2, I32, encoding), (3, I32, RLE), (4, I32, RLE))
    size = len(body) if uncompressed is None else uncompressed
    return struct((1, I32, 0), (2, I32, size), (3, I32, len(body)), (5, STRUCT, header)) + body


def dictionary(words, indexes):
    """A page of *words*, which may be equal, and a page of values: *indexes* of the words, below 256."""
    body = b"".join(len(word).to_bytes(4, "little") + word for word in words)
    header = struct((1, I32, len(words)), (2, I32, PLAIN))
    words_page = struct((1, I32, 2), (2, I32, len(body)), (3, I32, len(body)), (7, STRUCT, header)) + body
    runs = b"".join(_varint(2) + bytes([index]) for index in indexes)  # each of length one
    return words_page + page(bytes([8]) + runs, len(indexes), encoding=RLE_DICTIONARY)


def page_v2(values, body, *, encoding=PLAIN, levels=b"", is_packed, uncompressed):
    """*body* follows the *levels* of nulls. *is_packed* is TRUE or FALSE."""
    header = struct(
        (1, I32, values), (2, I32, 0), (3, I32, values), (4, I32, encoding), (5, I32, len(levels)),
        (6, I32, 0), (7, is_packed, None),
    )  # fmt: skip
    sizes = (2, I32, len(levels) + uncompressed), (3, I32, len(levels + body))
    return struct((1, I32, 3), *sizes, (8, STRUCT, header)) + levels + body


def file(*groups, name=b"n", codec=0, padding=b"", kind=INT32, optional=False, writer=None):
    """Each group as (pages, rows, values): the bytes of its pages, and the footer's claims.

    A group without pages, [], has no column either, and then the file has none.
    """
    data, found = b"PAR1" + padding, []
    for pages, rows, values in groups:
        meta = pages and struct(
            (1, I32, kind), (2, _LIST, (I32, [PLAIN])), (3, _LIST, (_BINARY, [name])), (4, I32, codec),
            (5, I64, values),
            (6, I64, len(pages)), (7, I64, len(pages)), (9, I64, len(data)),
        )  # fmt: skip
        chunks = [struct((2, I64, len(data)), (3, STRUCT, meta))] if pages else []
        found.append(struct((1, _LIST, (STRUCT, chunks)), (2, I64, len(pages)), (3, I64, rows)))
        data += pages or b""
    text = [(6, I32, 0)] if kind == TEXT else []
    columns = (
        [struct((1, I32, kind), (3, I32, int(optional)), (4, _BINARY, name), *text)]
        if all(pages for pages, _, _ in groups)
        else []
    )
    root = struct((4, _BINARY, b"root"), (5, I32, len(columns)))
    rows = sum(rows for _, rows, _ in groups)
    footer = struct(
        (1, I32, 2),
        (2, _LIST, (STRUCT, [root, *columns])),
        (3, I64, rows),
        (4, _LIST, (STRUCT, found)),
        *([(6, _BINARY, writer)] if writer else []),
    )
    return data + footer + len(footer).to_bytes(4, "little") + b"PAR1"
