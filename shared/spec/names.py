"""Names: valid ones of a result column, names in messages, and the guess at a misspelt one."""

import json
import keyword
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

MAX_NAME_BYTES = 63
"""Postgres cuts longer identifiers off without an error."""

MAX_GUESSES = 8
"""So many misspelt names of a request get a guess."""
MAX_CANDIDATES = 128
"""A guess is made among so many names."""
MAX_LETTERS = 40
"""A longer name is not guessed at."""
MAX_EDITS = 3

RESERVED = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "_id"})
"""Postgres' system columns, and the primary key of every result table."""


def quote(text: str, limit: int = 40) -> str:
    """*text* as a JSON string for use in a message, cut so that a message never carries a whole input."""
    return json.dumps(text if len(text) <= limit else text[:limit] + "…", ensure_ascii=False)


def in_expression(name: str) -> str:
    """The column *name* as an expression has it."""
    plain = name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
    return name if plain else "`" + name.replace("`", "``") + "`"


def result_name_fault(name: str) -> str | None:
    """The message if *name* cannot be a result column, else None."""
    if not name or "\0" in name:
        return "a result column needs a name without NUL"
    if len(name.encode()) > MAX_NAME_BYTES:
        return (
            f"{quote(name)} is longer than {MAX_NAME_BYTES} bytes of UTF-8, "
            "which is all a Postgres column name may have"
        )
    if name in RESERVED:
        return f"{quote(name)} is a column that every result table already has"
    return None


def closest(word: str, candidates: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str | None:
    """The candidate that *word* probably means, by synonym first, then by spelling; None if none is near.

    Looks at MAX_CANDIDATES candidates, and at words of at most MAX_LETTERS letters.
    """
    known, folded = list(islice(candidates, MAX_CANDIDATES)), word[: MAX_LETTERS + 1].lower()
    if (meant := (synonyms or {}).get(folded)) in known:
        return meant
    if len(folded) > MAX_LETTERS:
        return None
    found, fewest = None, min(MAX_EDITS, len(folded) // 3) + 1
    for candidate in known:
        if (needed := edits(folded, candidate[: MAX_LETTERS + 1].lower(), fewest - 1)) < fewest:
            found, fewest = candidate, needed
    return found


def edits(left: str, right: str, most: int) -> int:
    """The least number of edits from *left* to *right*, or *most* + 1 if it is more than *most*.

    An edit inserts, drops or replaces a letter, or swaps two neighbours (the distance of Damerau and
    Levenshtein, optimal string alignment). Only the cells near the diagonal are computed. So the cost is
    len(left) * (2 * most + 1) for any names; difflib's is cubic in the worst case.
    """
    if abs(len(left) - len(right)) > most:
        return most + 1
    earlier: list[int] = []
    before, row = earlier, list(range(len(right) + 1))
    for i, letter in enumerate(left, 1):
        earlier, before, row = before, row, [i] + [most + 1] * len(right)
        for j in range(max(1, i - most), min(len(right), i + most) + 1):
            if letter == right[j - 1]:
                row[j] = before[j - 1]
                continue
            row[j] = 1 + min(before[j - 1], before[j], row[j - 1])
            if i > 1 and j > 1 and letter == right[j - 2] and left[i - 2] == right[j - 1]:
                row[j] = min(row[j], 1 + earlier[j - 2])
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)


def did_you_mean(word: str, candidates: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str:
    """`; did you mean "mean"?`, or the empty string, to follow a sentence."""
    meant = closest(word, candidates, synonyms)
    return f"; did you mean {quote(meant)}?" if meant else ""


def listed(names: Sequence[str], limit: int = 20) -> str:
    """The first *limit* names, for a message."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(quote(name) for name in names[:limit]) + more
