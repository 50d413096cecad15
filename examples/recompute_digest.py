"""Recompute `result.digest` from a CSV export and the schema alone; docs/exactness.md describes the digest.

curl "$URL/v1/jobs/$ID" > job.json;  curl "$URL/v1/jobs/$ID/rows?format=csv" > rows.csv
python recompute_digest.py rows.csv job.json
"""

import datetime as dt
import json
import struct
import sys
from functools import reduce
from hashlib import sha256
from pathlib import Path
from re import findall

STEP, MASK, SEED, NULL = 0x9E3779B97F4A7C15, 2**64 - 1, 0x6772697374_6D696C, ((2, 0), 0x6E756C6C, b"\0")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
SIZES = {"bool": 1, "date": 4, "timestamp": 8, "timestamptz": 8}


def mix(state, word):
    x = (state * STEP + word + STEP) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def read(value, kind):
    """Sort key, hash and canonical bytes of a text of the export or an element of a JSON array."""
    if kind.endswith("[]"):
        items = [read(item, kind[:-2])[2] for item in json.loads(value, parse_float=str, parse_int=str)]
        return None, None, struct.pack("<BI", 1, len(items)) + b"".join(items)
    if kind == "string":
        data = value.encode()
        words = (int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8))
        return (0, data), reduce(mix, words, len(data)), struct.pack("<BI", 1, len(data)) + data
    if kind == "float64":
        order, data = (1, 0) if value == "NaN" else (0, float(value)), struct.pack("<d", float(value) + 0.0)
        return order, mix(0, int.from_bytes(data, "little")), b"\1" + data
    if kind in {"date", "timestamp", "timestamptz"}:
        since = dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC) - EPOCH
        whole = since.days if kind == "date" else since // dt.timedelta(microseconds=1)
    else:
        whole = int(value in {"true", True}) if kind == "bool" else int(value.replace(".", ""))
    wide = kind.startswith("decimal") and int(findall(r"\d+", kind)[0]) > 18
    word = mix(0, whole & MASK) + (whole >> 64) if wide else whole
    return (0, whole), mix(0, word), b"\1" + whole.to_bytes(SIZES.get(kind, 16), "little", signed=True)


def digest(export, columns, keys):
    cells, buckets = findall(r'("(?:[^"]|"")*"|[^,\r\n]*)(?:,|\r\n)', export), {}
    cells = [cell[1:-1].replace('""', '"') if cell.startswith('"') else cell or None for cell in cells]
    schema = [[column["name"], column["type"]] for column in columns]
    for row in [*zip(*[iter(cells)] * len(schema), strict=True)][1:]:
        typed = zip(row, schema, strict=True)
        values = [NULL if cell is None else read(cell, kind) for cell, (_, kind) in typed]
        order, words, data = zip(*values, strict=True)
        buckets.setdefault(reduce(mix, words[:keys], SEED) >> 54, []).append((order[:keys], b"".join(data)))
    head = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    whole = sha256(f"gristmill.digest.1\n{head}\n".encode())
    for no, rows in sorted(buckets.items()):
        whole.update(struct.pack("<H", no) + sha256(b"".join(row for _, row in sorted(rows))).digest())
    return "sha256:" + whole.hexdigest()


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[2]).read_bytes())
    keys, said = len(job["spec"]["group_by"]), job["result"]["digest"]
    computed = digest(Path(sys.argv[1]).read_bytes().decode(), job["result"]["columns"], keys)
    print(computed, "as the job says" if computed == said else f"but the job says {said}")
    sys.exit(computed != said)
