"""The receipt of a job: what was read, where every row of it went, and what it took.

Refused when it does not balance.
"""

from collections.abc import Mapping
from typing import Any

from shared.errors import ReceiptMismatch

_TIMES = ("created_at", "started_at", "planned_at", "scanned_at", "merged_at", "finished_at")
_NAMED = 5
_CHARGED = ("deaths", "crashes", "errors", "ooms")


def receipt(
    ledger: Mapping[str, Any],
    plan: Mapping[str, Any],
    version: Mapping[str, Any],
    *,
    semantics: str,
    software: Mapping[str, Any],
) -> dict[str, Any]:
    """The document of a job that is being published; *ledger* is the sums over its units.

    Raises ReceiptMismatch.

    `read` was counted by the splitter, from bytes; `aggregated` is the sum of what the states say they hold,
    and `merged` of what the merged states say: three counts that no common mistake makes agree.
    """
    check(ledger, plan, semantics)
    return {
        "job": ledger["id"],
        "spec_digest": ledger["spec_digest"],
        "result": {name: version[name] for name in ("name", "version", "rows", "digest")},
        **software,
        "files": [_file(file) for file in plan["files"]],
        "bytes": plan["bytes"],
        "warnings": plan.get("warnings", []),
        "chunks": ledger["chunks"],
        "rows": {
            "read": ledger["read"],
            "aggregated": ledger["aggregated"],
            "filtered": 0,
            "dropped_null_key": ledger["dropped"],
            "quarantined": 0,
            "skipped": 0,
        },
        "groups": ledger["groups"],
        "epoch": ledger["epoch"],
        "attempts": {"total": ledger["attempts"], **{name: ledger[name] for name in _CHARGED}},
        "times": {name: ledger[name] for name in _TIMES},
    }


def check(ledger: Mapping[str, Any], plan: Mapping[str, Any], semantics: str) -> None:
    """Raise ReceiptMismatch unless every row that was read is in the result, or was dropped for a reason that the spec knows."""
    read, aggregated, dropped, merged = (ledger[name] for name in ("read", "aggregated", "dropped", "merged"))
    if read != aggregated + dropped:
        found = f"{read:,} rows were read, but {aggregated:,} were aggregated and {dropped:,} dropped for a null key"
    elif merged != aggregated:
        found = f"{aggregated:,} rows were aggregated, but {merged:,} went into the result"
    elif dropped and semantics != "pandas":
        found = f"{dropped:,} rows were dropped for a null key, which {semantics} semantics keep"
    else:
        return
    raise ReceiptMismatch(f"{found}. Nothing was published. {_causes(plan)}")


def _causes(plan: Mapping[str, Any]) -> str:
    """What can make counts differ; of the formats only Parquet claims how many rows there are."""
    causes = ["partial results were changed or damaged in the database", "Gristmill has a bug"]
    if plan.get("format") == "parquet":
        uris = [file["uri"] for file in plan["files"]]
        named = ", ".join(uris[:_NAMED]) + (f" and {len(uris) - _NAMED:,} more" if len(uris) > _NAMED else "")
        causes.insert(0, f"a Parquet file claims more or fewer rows than it holds ({named})")
    return f"Either {', or '.join(causes)}: submit the job again, and report it if it fails again"


def _file(planned: Mapping[str, Any]) -> dict[str, Any]:
    """A plan of before lacks `ctime_ns`."""
    fingerprint = {name: planned[name] for name in ("mtime_ns", "ctime_ns", "inode") if name in planned}
    return {"uri": planned["uri"], "bytes": planned["size"], "fingerprint": fingerprint}
