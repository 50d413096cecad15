"""The tasks of a job, each asked of a child in this process, in any cut and order."""

import tempfile
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

from shared.core.fan_in import BUCKETS
from shared.core.plan import schema_of
from shared.core.row_counts import RowCounts
from shared.spec.bind import bind
from shared.spec.digests import result_digest
from shared.spec.models import JobSpec
from tests.support.child_tasks import chunk_task, merge_task, plan_task
from worker_service.child import tasks
from worker_service.executors.processes.channel import MemoryFile
from worker_service.messages import AttachedPartial, Failed, Widened, decode_outcome, encode
from worker_service.units.publish import result_columns


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
        """One unit; what its child holds before it flushes or combines is any number of groups or bytes."""
        limits = {
            "RESIDENT_BYTES": self.any_of(1 << 28, 0, 256, 20_000),
            "TABLE_BYTES": self.any_of(1 << 26, 0, 256, 20_000),
            "MERGED_GROUPS": self.any_of(1 << 21, 0, 3),
            "MERGED_BYTES": self.any_of(1 << 27, 0, 500),
            "HELD_BYTES": self.any_of(1 << 27, 20_000),
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
            chunks = [*self.chunks(planned, self.shuffled(numbers), len(data))]
        schema = planned.plan.schema
        partials = [
            (header.first_bucket, header.last_bucket, data)
            for result, body in self.shuffled(chunks)
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
        return self.checked(schema, chunks, [merges[first] for first in borders[:-1]])

    def chunks(self, planned, numbers, size):
        """The answers about chunks, in any folds, and the answers that end those folds."""
        held = False
        for no in numbers:
            held = yield from self.chunk(planned, no, size, joined=held, hold=self.any_of(False, True, True))
            if held and (no == numbers[-1] or self.any_of(False, False, True)):
                held = yield from self.chunk(planned, no, size, joined=True, files=(), extents=())

    def chunk(self, planned, no, size, **changes):
        """Yields the answer. Returns whether the child holds the states."""
        sizes = {"batch_bytes": self.size(size), "partial_bytes": self.size(1 << 20)}
        answer = self.ask(chunk_task(self.spec, planned, no, **sizes, **changes))
        held = answer[0].held is not None
        assert not (held and answer[1])
        yield answer
        return held

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
        assert rows.read == rows.accounted
        assert rows.aggregated == merged
        digests = [pair for result, _ in merges for pair in result.stats.buckets.items()]
        assert len(dict(digests)) == len(digests), "a bucket that two merges have"
        widened = {name for result, _ in merges for name in result.stats.widened}
        columns = result_columns(bind(JobSpec.model_validate(self.spec), schema_of(schema)), widened)
        return result_digest(columns, dict(digests)), b"".join(part for _, body in merges for part in body)
