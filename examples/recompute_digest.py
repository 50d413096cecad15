"""Recompute `result.digest` from a CSV export and the schema alone; docs/exactness.md describes the digest.

curl "$URL/v1/jobs/$ID" > job.json;  curl "$URL/v1/jobs/$ID/rows?format=csv" > rows.csv;  python
recompute_digest.py rows.csv job.json
"""

import datetime as dt
import json
import struct
import sys
from functools import reduce
from hashlib import sha256
from pathlib import Path
from re import findall

STEP, MASK, NULL, EPOCH = (
    0x9E3779B97F4A7C15,
    2**64 - 1,
    ((2, 0), 0x6E756C6C, b"\0"),
    dt.datetime(1970, 1, 1, tzinfo=dt.UTC),
)


def mix(x):
    x = (x + STEP) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def read(value, kind):
    """Sort key, hash and canonical bytes of a value that is not null.

    The value is a text of the export or an element of a JSON array.
    """
    if kind.endswith("[]"):
        elements = [
            read(element, kind[:-2])[2] for element in json.loads(value, parse_float=str, parse_int=str)
        ]
        return None, None, struct.pack("<BI", 1, len(elements)) + b"".join(elements)
    if kind == "string":
        data = value.encode()
        words = (int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8))
        return (
            (0, data),
            reduce(lambda state, word: mix(state * STEP + word), words, len(data)),
            struct.pack("<BI", 1, len(data)) + data,
        )
    if kind == "float64":
        data = struct.pack("<d", float(value) + 0.0)
        return (
            (1, 0) if value == "NaN" else (0, float(value)),
            mix(int.from_bytes(data, "little")),
            b"\1" + data,
        )
    if kind in {"date", "timestamp", "timestamptz"}:
        since = dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC) - EPOCH
        whole, size = (since.days, 4) if kind == "date" else (since // dt.timedelta(microseconds=1), 8)
    else:
        whole, size = (
            (int(value in {"true", True}), 1) if kind == "bool" else (int(value.replace(".", "")), 16)
        )
    wide = kind.startswith("decimal") and int(findall(r"\d+", kind)[0]) > 18
    return (
        (0, whole),
        mix(mix(whole & MASK) + (whole >> 64) if wide else whole),
        b"\1" + whole.to_bytes(size, "little", signed=True),
    )


def digest(export, columns, keys):
    cells, buckets = findall(r'("(?:[^"]|"")*"|[^,\r\n]*)(?:,|\r\n)', export), {}
    cells = [cell[1:-1].replace('""', '"') if cell.startswith('"') else cell or None for cell in cells]
    for at in range(len(columns), len(cells), len(columns)):
        values = [
            NULL if cell is None else read(cell, columns[i]["type"])
            for i, cell in enumerate(cells[at : at + len(columns)])
        ]
        bucket = (
            reduce(lambda state, value: mix(state * STEP + value[1]), values[:keys], 0x6772697374_6D696C)
            >> 54
        )
        buckets.setdefault(bucket, []).append(
            ([value[0] for value in values[:keys]], b"".join(value[2] for value in values))
        )
    schema = json.dumps(
        [[column["name"], column["type"]] for column in columns], ensure_ascii=False, separators=(",", ":")
    )
    hashes = [
        struct.pack("<H", no) + sha256(b"".join(row for _, row in sorted(rows))).digest()
        for no, rows in sorted(buckets.items())
    ]
    return "sha256:" + sha256(f"gristmill.digest.1\n{schema}\n".encode() + b"".join(hashes)).hexdigest()


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    computed = digest(
        Path(sys.argv[1]).read_bytes().decode(), job["result"]["columns"], len(job["spec"]["group_by"])
    )
    print(
        computed,
        "as the job says"
        if computed == job["result"]["digest"]
        else f"but the job says {job['result']['digest']}",
    )
    sys.exit(computed != job["result"]["digest"])
