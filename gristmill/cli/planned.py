"""A dry run as people read it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gristmill.cli import output
from gristmill.cli.options import DocumentFormat
from gristmill.cli.talk import named, visible

if TYPE_CHECKING:
    from gristmill import Plan

SHOWN_FILES, SHOWN_RECORDS = 5, 10


def show_plan(plan: "Plan", shape: DocumentFormat, names: Mapping[str, str]) -> None:
    if shape is not DocumentFormat.table:
        document: Any = plan.document
        output.show_document(document, shape, {})
        return
    found: Any = plan.findings
    files = [named(one["uri"], names) for one in found["files"][:SHOWN_FILES]]
    files += ["…"] if found["file_count"] > len(files) else []
    lines = {
        "files": f"{found['file_count']:,}: {', '.join(files)}",
        "bytes": found["bytes"],
        "format": found["format"] + (f", {found['compression']}" if found["compression"] != "none" else ""),
        "delimiter": repr(found["csv"]["delimiter"]) if found["csv"] else None,
        **{name: _estimate(found[name]) for name in ("rows", "groups", "seconds")},
    }
    output.show_document({}, shape, lines)
    output.print_line("")
    head = ("column", "type", "nulls", "first values")
    output.show_table(head, [_column(column, found["sample"]) for column in found["columns"]], {"nulls"})
    for record in found["sample"]:
        if "bad" in record:
            bad = record["bad"]
            output.print_line(
                visible(f"bad row: line {bad.get('line')}: {bad['detail']}: {bad.get('text', '')}")
            )
    for warning in found["warnings"]:
        output.print_line(named(f"warning: {warning['detail']}", names))


def _estimate(number: Any) -> str | None:
    value = number["value"]
    if value is None:
        return None
    about = {"exact": "", "lower_bound": "at least "}.get(number["accuracy"], "about ")
    return f"{about}{value:,.1f}" if isinstance(value, float) else f"{about}{value:,}"


def _column(column: Any, sample: Any) -> list[str]:
    values = [record["values"].get(column["name"]) for record in sample if "values" in record]
    shown = list(dict.fromkeys(str(value) for value in values if value is not None))[:3]
    nulls = "" if column["nulls"] is None else f"{column['nulls']:.0%}"
    return [column["name"], column["type"] or "?", nulls, ", ".join(shown)]
