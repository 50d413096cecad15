"""Recompute `result.digest` from the CSV export and the document of a job; docs/exactness.md describes it.

`python recompute_digest.py rows.csv job.json`, from `/v1/jobs/$ID/rows?format=csv` and `/v1/jobs/$ID`.
"""

import datetime as dt
import json
import sys
from functools import reduce
from hashlib import sha256
from pathlib import Path
from re import findall
from struct import pack

STEP, START, MASK = 0x9E3779B97F4A7C15, 0x6772697374_6D696C, 2**64 - 1
NULL, EPOCH = ((2, 0), 0x6E756C6C, b"\0"), dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def mix(hashed, value):
    x = (hashed * STEP + value + STEP) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def read(value, kind):
    """The sort key, the hash and the canonical bytes of the text of a value that is not null."""
    if kind.endswith("[]"):
        elements = [read(each, kind[:-2])[2] for each in json.loads(value, parse_float=str, parse_int=str)]
        return None, None, pack("<BI", 1, len(elements)) + b"".join(elements)
    if kind == "string":
        data = value.encode()
        words = (int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8))
        return (0, data), reduce(mix, words, len(data)), pack("<BI", 1, len(data)) + data
    if kind == "float64":
        order, data = (1, 0) if value == "NaN" else (0, float(value)), pack("<d", float(value) + 0.0)
        return order, mix(0, int.from_bytes(data, "little")), b"\1" + data
    whole, size = int(value in {"true", True}), 1
    if kind in {"date", "timestamp", "timestamptz"}:
        since = dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC) - EPOCH
        whole, size = (since.days, 4) if kind == "date" else (since // dt.timedelta(microseconds=1), 8)
    elif kind != "bool":
        whole, size = int(value.replace(".", "")), 16
    wide = kind.startswith("decimal") and int(findall(r"\d+", kind)[0]) > 18
    hashed = mix(0, mix(0, whole & MASK) + (whole >> 64) if wide else whole)
    return (0, whole), hashed, b"\1" + whole.to_bytes(size, "little", signed=True)


def digest(export, columns, keys):
    texts, buckets, width = findall(r'("(?:[^"]|"")*"|[^,\r\n]*)(?:,|\r\n)', export), {}, len(columns)
    cells = [text[1:-1].replace('""', '"') if text.startswith('"') else text or None for text in texts]
    for at in range(width, len(cells), width):
        row = zip(cells[at : at + width], columns, strict=True)
        values = [read(cell, column["type"]) if cell is not None else NULL for cell, column in row]
        order, hashes, data = zip(*values, strict=True)
        bucket = reduce(mix, hashes[:keys], START) >> 54
        buckets.setdefault(bucket, []).append((order[:keys], b"".join(data)))
    names = [[column["name"], column["type"]] for column in columns]
    whole = f"gristmill.digest.1\n{json.dumps(names, ensure_ascii=False, separators=(',', ':'))}\n".encode()
    for number, rows in sorted(buckets.items()):
        whole += pack("<H", number) + sha256(b"".join(data for _, data in sorted(rows))).digest()
    return "sha256:" + sha256(whole).hexdigest()


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    columns, keys, given = job["result"]["columns"], len(job["spec"]["group_by"]), job["result"]["digest"]
    computed = digest(Path(sys.argv[1]).read_bytes().decode(), columns, keys)
    print(computed, "as the job says" if computed == given else f"but the job says {given}")
    sys.exit(computed != given)
