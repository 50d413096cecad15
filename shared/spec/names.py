"""Names: which ones a result column may have, and the guess at what a misspelt one was meant to be."""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

MAX_NAME_BYTES = 63
"""Postgres cuts longer identifiers off without a word."""

RESERVED = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "_id"})
"""Postgres' system columns, and the primary key of every result table."""


def quote(text: str, limit: int = 40) -> str:
    """*text* as a JSON string for use in a message, cut so that a message never carries a whole input."""
    return json.dumps(text if len(text) <= limit else text[:limit] + "…", ensure_ascii=False)


def result_name_fault(name: str) -> str | None:
    """What is wrong with *name* as a result column, or None."""
    if not name or "\0" in name:
        return "a result column needs a name without NUL"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"{quote(name)} is longer than {MAX_NAME_BYTES} bytes of UTF-8, which is all a Postgres column name may have"
    if name in RESERVED:
        return f"{quote(name)} is a column that every result table already has"
    return None


def closest(word: str, candidates: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str | None:
    """The candidate that *word* was probably meant to be, by synonym first, then by spelling; None if none is near."""
    known, folded = list(candidates), word.lower()[:100]
    if (meant := (synonyms or {}).get(folded)) in known:
        return meant
    by_folded = {candidate.lower(): candidate for candidate in known}
    near = get_close_matches(folded, by_folded, n=1, cutoff=0.7)
    return by_folded[near[0]] if near else None


def did_you_mean(word: str, candidates: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str:
    """`; did you mean "mean"?`, or nothing, to be put behind a sentence."""
    meant = closest(word, candidates, synonyms)
    return f"; did you mean {quote(meant)}?" if meant else ""


def listed(names: list[str], limit: int = 20) -> str:
    """The first *limit* names, for a message."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(quote(name) for name in names[:limit]) + more
