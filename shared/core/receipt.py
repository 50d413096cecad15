"""The receipt of a job: which rows were read, where each of them went, and how much work it took.

A job whose counts do not balance gets no receipt, and is not published.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import asdict

from shared.core.entities import Document, NewVersion
from shared.core.plan import DatasetFile, Plan
from shared.core.row_counts import RowCounts
from shared.errors import ReceiptMismatch

_TIMES = ("created_at", "started_at", "planned_at", "scanned_at", "merged_at", "finished_at")
_CHARGED = ("deaths", "crashes", "errors", "ooms")
_FINGERPRINT = ("mtime_ns", "ctime_ns", "inode")
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The sums over the units of a job, and the job's times.

    *rows* are of the chunks. The readers counted `read`, from bytes. `aggregated` is the sum of the rows that
    the states say they hold. *merged* is the same sum over the merged states. So there are three counts that
    no common mistake makes agree.
    """

    id: str
    spec_digest: str
    epoch: int
    chunks: int
    rows: RowCounts
    merged: int
    groups: int
    attempts: int
    deaths: int
    crashes: int
    errors: int
    ooms: int
    created_at: datetime
    started_at: datetime | None
    planned_at: datetime | None
    scanned_at: datetime | None
    merged_at: datetime | None
    finished_at: datetime


def receipt(
    ledger: Ledger, plan: Plan, version: NewVersion, *, semantics: str, software: Mapping[str, object]
) -> Document:
    """The receipt of a job that is being published.

    Raises ReceiptMismatch.
    """
    check(ledger.rows, ledger.merged, plan, semantics)
    return {
        "job": ledger.id,
        "spec_digest": ledger.spec_digest,
        "result": {name: getattr(version, name) for name in ("name", "version", "rows", "digest")},
        **software,
        "files": [_file(file) for file in plan.files],
        "bytes": plan.bytes,
        "warnings": plan.warnings,
        "chunks": ledger.chunks,
        "rows": asdict(ledger.rows),
        "groups": ledger.groups,
        "epoch": ledger.epoch,
        "attempts": {"total": ledger.attempts, **{name: getattr(ledger, name) for name in _CHARGED}},
        "times": {name: getattr(ledger, name) for name in _TIMES},
    }


def check(rows: RowCounts, merged: int, plan: Plan, semantics: str) -> None:
    """Raise ReceiptMismatch unless every row that was read is in the result, or left out as the spec says."""
    aggregated, dropped = rows.aggregated, rows.dropped_null_key
    if rows.read != rows.accounted:
        others = ((name, getattr(rows, name)) for name in ("filtered", "quarantined", "skipped"))
        told = "".join(f", {count:,} {name}" for name, count in others if count)
        found = (
            f"{rows.read:,} rows were read, but {aggregated:,} were aggregated{told} "
            f"and {dropped:,} dropped for a null key"
        )
    elif merged != aggregated:
        found = f"{aggregated:,} rows were aggregated, but {merged:,} went into the result"
    elif dropped and semantics != "pandas":
        found = f"{dropped:,} rows were dropped for a null key, which {semantics} semantics keep"
    else:
        return
    raise ReceiptMismatch(f"{found}. Nothing was published. {_causes(plan)}")


def _causes(plan: Plan) -> str:
    """The possible causes of counts that differ.

    Self-describing files claim how many rows there are.
    """
    causes = ["partial results were changed or damaged in the database", "Gristmill has a bug"]
    if plan.self_describing:
        uris = [file.uri for file in plan.files]
        named = ", ".join(uris[:_NAMED]) + (f" and {len(uris) - _NAMED:,} more" if len(uris) > _NAMED else "")
        causes.insert(
            0, f"a {plan.format.capitalize()} file claims more or fewer rows than it holds ({named})"
        )
    return f"Either {', or '.join(causes)}: submit the job again, and report it if it fails again"


def _file(planned: DatasetFile) -> dict[str, object]:
    known = asdict(planned)
    fingerprint = {name: known[name] for name in _FINGERPRINT if known[name] is not None}
    return {"uri": planned.uri, "bytes": planned.bytes, "fingerprint": fingerprint}
