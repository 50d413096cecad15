"""From a CSV file's bytes to the rows that Postgres copies: one digest and the same bytes.

It does not matter how the work was cut, which child did it, or in which order.
"""

import base64
import csv
import io
import math
import os
import random
import tempfile
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from shared.core.planning import BUCKETS
from shared.spec.bind import bind
from shared.spec.digest import result_digest
from shared.spec.functions import FUNCTIONS
from shared.spec.models import JobSpec
from shared.spec.types import Schema
from tests.support.requests import chunk_request, plan_request
from worker_service.child import tasks, wire
from worker_service.units.publish import result_columns

PARTS, MAX_EXAMPLES = 4, 8
"""The number of parts in which the aggregates are checked, and of examples for each.

A counterexample is small; to shrink it further would take minutes.
"""
URI = "file:///data/t.csv"
NULL = st.just("")
DOUBLES = (
    st.floats(width=64)
    | st.sampled_from([0.0, -0.0, 5e-324, 1e16, -1e16, 1e300, math.inf, math.nan])
    | st.floats(-1e3, 1e3)
)
INTS = st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5)
TEXTS = st.text(
    st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=4
) | st.sampled_from(["\n", '"', "a,\r\nb"])
COLUMNS = {
    "k": ("string", st.sampled_from(["a", "b", "c,d", 'e"\n'])),
    "f": ("float64", NULL | DOUBLES.map(repr)),
    "i": ("int64", NULL | INTS.map(str)),
    "m": ("decimal(30,3)", NULL | st.integers(-(10**27), 10**27).map(lambda n: f"{Decimal(n).scaleb(-3):f}")),
    "s": ("string", NULL | TEXTS),
    "b": ("bool", NULL | st.sampled_from(["true", "false"])),
    "d": ("date", NULL | st.dates().map(str)),
    "t": ("timestamp", NULL | st.datetimes().map(str)),
}
OTHERS = {"f": "i", "i": "m", "m": "f", "s": "f", "b": "i", "d": "s", "t": "b"}
"""Another column to go with each, as `by` or `x`."""


def every_aggregate():
    """Each function of every column that it takes."""
    for fn, function in FUNCTIONS.items():
        for column, other in OTHERS.items():
            beside = {"column": column, "y": column, "by": other, "x": other, "q": [0.3, 0.999], "k": 2}
            if COLUMNS[column][0].split("(")[0] in function.first_accepts.kinds:
                yield {"fn": fn, **{name: beside[name] for name in function.parameters if name in beside}}


AGGREGATES = [{"fn": "count"}, *every_aggregate()]


@st.composite
def files(draw):
    """A CSV file of up to 25 records: all fields quoted or few, either line end, perhaps no final one."""
    rows = draw(st.lists(st.tuples(*(values for _, values in COLUMNS.values())), max_size=25))
    sink, end = io.StringIO(), draw(st.sampled_from(["\n", "\r\n"]))
    csv.writer(
        sink, lineterminator=end, quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    ).writerows([tuple(COLUMNS), *rows])
    return sink.getvalue().removesuffix(draw(st.sampled_from(["", end]))).encode()


class Work:
    """A job's tasks, each asked of a child on its own.

    *choice* decides all that must not matter; without it the work is whole and in order.
    """

    def __init__(self, spec, choice=None):
        self.spec, self.choice = spec, choice

    def any_of(self, whole, *others):
        return self.choice.choice([whole, *others]) if self.choice else whole

    def size(self, whole):
        """A size of at most *whole*: 1, all or anything between."""
        return self.choice.choice([1, self.choice.randint(1, whole), whole]) if self.choice else whole

    def shuffled(self, things):
        return self.choice.sample(things, len(things)) if self.choice else things

    def ask(self, request, *descriptors):
        """One task; its child holds any number of groups before it flushes or combines."""
        limits = {
            "RESIDENT_GROUPS": self.any_of(1 << 18, 0, 1, 5),
            "MERGED_GROUPS": self.any_of(1 << 21, 0, 3),
        }
        with patch.multiple(tasks, **limits):
            header, body = tasks.answer(request, [*descriptors])
        assert not header.keys() & {"problem", "widen"}, header
        return header, body

    def result(self, data):
        """The digest, and the rows as Postgres gets them."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            plan, _ = self.ask(
                plan_request(self.spec, Path(file.name), chunk_bytes=self.size(len(data)), max_chunks=10**6)
            )
            chunks = {
                no: self.chunk(plan, no, len(data)) for no in self.shuffled([*range(len(plan["chunks"]))])
            }
        pieces = [
            (*listed[:2], part)
            for _, (header, body) in self.shuffled([*chunks.items()])
            for listed, part in zip(header["pieces"], body, strict=True)
        ]
        borders = sorted(
            {
                0,
                BUCKETS,
                *(self.choice.choices(range(BUCKETS), k=self.choice.randint(0, 6)) if self.choice else ()),
            }
        )
        merges = {
            first: self.merge(plan["schema"], first, end, pieces)
            for first, end in self.shuffled([*pairwise(borders)])
        }
        return self.checked(plan["schema"], [*chunks.values()], [merges[first] for first in borders[:-1]])

    def chunk(self, plan, no, size):
        return self.ask(
            chunk_request(self.spec, plan, no, batch_bytes=self.size(size), piece_bytes=self.size(1 << 20))
        )

    def merge(self, schema, first, end, pieces):
        touching = [
            (part, low >= first and high < end) for low, high, part in pieces if high >= first and low < end
        ]
        listed = [[len(part), inside] for part, inside in touching]
        descriptor = wire.memory_file("pieces", b"".join(part for part, _ in touching))
        request = {
            "task": "merge",
            "spec": self.spec,
            "schema": schema,
            "first": first,
            "end": end,
            "pieces": listed,
        }
        try:
            return self.ask(request, descriptor)
        finally:
            os.close(descriptor)

    def checked(self, schema, chunks, merges):
        read, aggregated, dropped = (
            sum(header[name] for header, _ in chunks)
            for name in ("rows_read", "rows_aggregated", "rows_dropped")
        )
        assert read - dropped == aggregated == sum(header["rows_aggregated"] for header, _ in merges)
        digests = [
            (int(no), base64.b64decode(text))
            for header, _ in merges
            for no, text in header["buckets"].items()
        ]
        assert len(dict(digests)) == len(digests), "a bucket that two merges have"
        widened = {name for header, _ in merges for name in header["widened"]}
        columns = result_columns(bind(JobSpec.model_validate(self.spec), Schema.from_json(schema)), widened)
        return result_digest(columns, dict(digests)), b"".join(part for _, body in merges for part in body)


def spec(keys, aggregates, semantics):
    source = {"uris": [URI], "types": {name: kind for name, (kind, _) in COLUMNS.items()}}
    return {"source": source, "group_by": keys, "aggregates": aggregates, "semantics": semantics}


@pytest.mark.parametrize("no", range(PARTS))
def test_every_aggregate_has_one_digest_and_the_same_rows_however_its_job_is_cut(no):
    @settings(max_examples=MAX_EXAMPLES, phases=[Phase.reuse, Phase.generate])
    @given(
        files(),
        st.sampled_from([[], ["k"], ["f"], ["k", "d", "i"]]),
        st.sampled_from(["sql", "pandas"]),
        st.integers(0, 2**32),
    )
    def holds(data, keys, semantics, seed):
        asked = spec(keys, AGGREGATES[no::PARTS], semantics)
        assert Work(asked, random.Random(seed)).result(data) == Work(asked).result(data)

    holds()
