"""The state of an upload or a job as a title, a fraction and a line of text, and tables in HTML. Pure."""

import html
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gristmill.client.documents import JobDocument, PlanDocument


@dataclass(frozen=True, slots=True)
class Moment:
    """`fraction` is from 0 to 1, None where it is not known. `note` is a line for people."""

    title: str
    fraction: float | None
    note: str
    done: bool = False


Show = Callable[[Moment], None]


def of_job(document: JobDocument) -> Moment:
    return Moment(_title(document), document["progress"]["fraction"], _note(document), document["done"])


def _title(document: JobDocument) -> str:
    """The name of its result, or its id."""
    output: dict[str, Any] = (document.get("spec") or {}).get("output") or {}
    return str(output.get("name") or document["id"])


def _note(document: JobDocument) -> str:
    progress, state = document["progress"], document["state"]
    if state == "succeeded":
        return f"{progress['rows']['read']:,} rows read"
    if awaited := waits_for(document):
        return f"{state}, waits for {awaited}"
    if state != "running":
        return state
    chunks, eta = progress["chunks"], progress["eta_seconds"]
    parts = [f"{document['phase']} {chunks['done']}/{chunks['total']} chunks"]
    parts += [f"{progress['rows']['read']:,} rows"]
    parts += [] if eta is None else [f"{_duration(eta)} left"]
    return ", ".join(parts)


def of_plan(document: PlanDocument) -> Moment:
    """Its fraction is known at its end alone: 1 if it succeeded."""
    if document["done"]:
        fraction = None if document["error"] else 1.0
        return Moment(document["id"], fraction, document["state"], done=True)
    awaited = waits_for(document) or "a free worker"
    note = f"waits for {awaited}" if document["state"] == "queued" else "a worker reads the data"
    return Moment(document["id"], None, note)


def waits_for(document: JobDocument | PlanDocument) -> str | None:
    """The event for which a job waits; None if a worker may take it now."""
    limit = document.get("waiting_for")  # an older service does not tell it
    return f"another job to end (limit {limit})" if limit else None


def of_upload(name: str, sent: int, size: int | None) -> Moment:
    """*sent* and *size* are bytes; the size is None where only the end tells."""
    if size is None:
        return Moment(name, None, f"{sent / 1e6:,.1f} MB sent")
    fraction = sent / size if size else 1.0
    return Moment(name, fraction, f"{sent / 1e6:,.1f} of {size / 1e6:,.1f} MB sent", done=sent >= size)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def bar_html(moment: Moment) -> str:
    """A bar, escaped."""
    value = "" if moment.fraction is None else f' value="{moment.fraction:.4f}"'
    percent = "" if moment.fraction is None else f" {moment.fraction:.0%}"
    return (
        f'<div><b>{html.escape(moment.title)}</b> <progress max="1"{value}></progress>'
        f"{percent} {html.escape(moment.note)}</div>"
    )


def table_html(columns: Mapping[str, str | None], records: Iterable[Mapping[str, Any]] = ()) -> str:
    """A table whose head has the columns with their types, escaped."""
    head = "".join(
        f"<th>{html.escape(name)}<br>{html.escape(str(kind))}</th>" for name, kind in columns.items()
    )
    body = "".join(f"<tr>{_cells(record.get(name, '') for name in columns)}</tr>" for record in records)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cells(values: Iterable[Any]) -> str:
    return "".join(f"<td>{html.escape(str(value))}</td>" for value in values)
