"""From a CSV file to the rows that Postgres copies: one digest, the same bytes, for any cuts of the work."""

import csv
import io
import math
import random
import tempfile
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from shared.core.fan_in import BUCKETS
from shared.core.plan import schema_of
from shared.core.row_counts import RowCounts
from shared.spec.bind import bind
from shared.spec.digests import result_digest
from shared.spec.functions import FUNCTIONS
from shared.spec.models import JobSpec
from tests.support.child_tasks import chunk_task, merge_task, plan_task
from worker_service.child import tasks
from worker_service.executors.processes.channel import MemoryFile
from worker_service.messages import AttachedPartial, Failed, Widened, decode_outcome, encode
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
    """A CSV file of up to 25 records: all or few fields quoted, either line end, perhaps no final one."""
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

    def ask(self, task, attachment=None):
        """One unit; what its child holds before it flushes or combines is any number of groups."""
        limits = {
            "RESIDENT_GROUPS": self.any_of(1 << 18, 0, 1, 5),
            "MERGED_GROUPS": self.any_of(1 << 21, 0, 3),
        }
        with patch.multiple(tasks, **limits):
            message, body = tasks.answer(encode(task), attachment)
        outcome = decode_outcome(message)
        assert not isinstance(outcome, Failed | Widened), outcome
        return outcome, body

    def result(self, data):
        """The digest, and the rows as Postgres gets them."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            planned, _ = self.ask(
                plan_task(self.spec, Path(file.name), chunk_bytes=self.size(len(data)), max_chunks=10**6)
            )
            numbers = [*range(len(planned.chunk_texts))]
            chunks = {no: self.chunk(planned, no, len(data)) for no in self.shuffled(numbers)}
        schema = planned.plan.schema
        partials = [
            (header.first_bucket, header.last_bucket, data)
            for _, (result, body) in self.shuffled([*chunks.items()])
            for header, data in zip(result.partials, body, strict=True)
        ]
        borders = sorted(
            {
                0,
                BUCKETS,
                *(self.choice.choices(range(BUCKETS), k=self.choice.randint(0, 6)) if self.choice else ()),
            }
        )
        merges = {
            first: self.merge(schema, first, end, partials)
            for first, end in self.shuffled([*pairwise(borders)])
        }
        return self.checked(schema, [*chunks.values()], [merges[first] for first in borders[:-1]])

    def chunk(self, planned, no, size):
        sizes = {"batch_bytes": self.size(size), "partial_bytes": self.size(1 << 20)}
        return self.ask(chunk_task(self.spec, planned, no, **sizes))

    def merge(self, schema, first, end, partials):
        touching = [
            (data, low >= first and high < end) for low, high, data in partials if high >= first and low < end
        ]
        attached = [AttachedPartial(len(data), inside) for data, inside in touching]
        attachment = MemoryFile.create("attachment", b"".join(data for data, _ in touching))
        try:
            return self.ask(merge_task(self.spec, schema, attached, first, end), attachment)
        finally:
            attachment.close()

    def checked(self, schema, chunks, merges):
        rows = sum((result.rows for result, _ in chunks), RowCounts())
        merged = sum(result.rows_aggregated for result, _ in merges)
        assert rows.read - rows.dropped_null_key == rows.aggregated == merged
        digests = [pair for result, _ in merges for pair in result.stats.buckets.items()]
        assert len(dict(digests)) == len(digests), "a bucket that two merges have"
        widened = {name for result, _ in merges for name in result.stats.widened}
        columns = result_columns(bind(JobSpec.model_validate(self.spec), schema_of(schema)), widened)
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
