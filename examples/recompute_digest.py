"""Recompute `result.digest` from a CSV export and the schema alone; docs/exactness.md describes the digest.

curl "$URL/v1/jobs/$ID" > job.json;  curl "$URL/v1/jobs/$ID/rows?format=csv" > rows.csv
python recompute_digest.py rows.csv job.json
"""

import datetime as dt
import hashlib
import json
import math
import re
import struct
import sys
from itertools import groupby
from pathlib import Path

STEP, MASK, EPOCH = 0x9E3779B97F4A7C15, 2**64 - 1, dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def mix(x):
    x = (x + STEP) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def stored(value, kind):
    """A cell as the integer, double or octets that the digest is made of; *value* is its text, or an element of a JSON array."""
    if kind == "float64":
        return float(value) + 0.0
    if kind == "string":
        return value.encode()
    if kind == "bool":
        return int(value in {"true", True})
    if kind in {"date", "timestamp", "timestamptz"}:
        since = dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC) - EPOCH
        return since.days if kind == "date" else since // dt.timedelta(microseconds=1)
    return int(value.replace(".", ""))  # a decimal is written with all the digits of its scale


def parsed(text, kind):
    if text == "":
        return None
    text = text[1:-1].replace('""', '"') if text.startswith('"') else text
    if kind.endswith("[]"):
        return [stored(value, kind[:-2]) for value in json.loads(text, parse_float=str, parse_int=str)]
    return stored(text, kind)


def canonical(value, kind):
    if value is None:
        return b"\0"
    if isinstance(value, list):
        return b"\1" + struct.pack("<I", len(value)) + b"".join(canonical(element, kind[:-2]) for element in value)
    if isinstance(value, bytes):
        return b"\1" + struct.pack("<I", len(value)) + value
    if isinstance(value, float):
        return b"\1" + struct.pack("<d", math.nan if math.isnan(value) else value)
    return b"\1" + value.to_bytes({"bool": 1, "date": 4, "timestamp": 8, "timestamptz": 8}.get(kind, 16), "little", signed=True)


def hashed(value, kind):
    if value is None:
        return 0x6E756C6C
    if isinstance(value, bytes):
        state = len(value)
        for at in range(0, len(value), 8):
            state = mix((state * STEP + int.from_bytes(value[at : at + 8], "little")) & MASK)
        return state
    if isinstance(value, float):
        return mix(int.from_bytes(canonical(value, kind)[1:], "little"))
    if kind.startswith("decimal") and int(re.findall(r"\d+", kind)[0]) > 18:
        return mix((mix(value & MASK) + (value >> 64)) & MASK)
    return mix(value & MASK)


def ranked(value):
    """NaN comes after the numbers, null last; strings are octets already."""
    odd = (value is None) * 2 or int(isinstance(value, float) and math.isnan(value))
    return (odd, b"" if odd else value)


def digest(lines, columns, keys):
    """Of the CSV's text; *columns* are those of the job's result, the first *keys* of them the group keys."""
    kinds = [column["type"] for column in columns]
    cells = [match[1] for match in re.finditer(r'("(?:[^"]|"")*"|[^,\r\n]*)(?:,|\r\n)', lines)][len(kinds) :]
    rows = []
    for at in range(0, len(cells), len(kinds)):
        row = [parsed(text, kind) for text, kind in zip(cells[at : at + len(kinds)], kinds, strict=True)]
        state = 0x6772697374_6D696C
        for value, kind in zip(row[:keys], kinds[:keys], strict=True):
            state = mix((state * STEP + hashed(value, kind)) & MASK)
        rows.append((state >> 54, [ranked(value) for value in row[:keys]], b"".join(map(canonical, row, kinds))))
    schema = json.dumps([[column["name"], column["type"]] for column in columns], ensure_ascii=False, separators=(",", ":"))
    found = hashlib.sha256(b"gristmill.digest.1\n" + schema.encode() + b"\n")
    for bucket, members in groupby(sorted(rows, key=lambda row: row[:2]), key=lambda row: row[0]):
        found.update(struct.pack("<H", bucket) + hashlib.sha256(b"".join(row[2] for row in members)).digest())
    return f"sha256:{found.hexdigest()}"


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    text = Path(sys.argv[1]).read_bytes().decode()
    computed = digest(text, job["result"]["columns"], len(job["spec"]["group_by"]))
    print(computed, "as the job says" if computed == job["result"]["digest"] else f"but the job says {job['result']['digest']}")
    sys.exit(computed != job["result"]["digest"])
