"""Texts that `types` describes, rewritten into our own spelling; `strict` then reads them.

A text that does not have the described form becomes `?`, which is no literal of any type.
"""

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.column_text import ColumnText
from shared.spec.types import DataType
from worker_service.arrow import Array, with_dictionary
from worker_service.readers.literals.strict import NO_TEXT, grammar

_MINUS = "\N{MINUS SIGN}"
_NONE = pa.scalar("?")
_SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_PERCENT = rf"^(\(?[^()%]*?)[{_SPACES}]?%(\)?-?)$"
_WIDEST = DataType("float64")


def cleared(text: Array, how: ColumnText, nulls: Sequence[str]) -> Array:
    """Nulls and white space: spellings of null, then trimming, then the nulls that it uncovers.

    *nulls* are spellings of the whole file, which the parser has turned into nulls already.
    """
    if how.null_values:
        text = _nulled(text, how.null_values)
    if not how.trim:
        return text
    if pa.types.is_dictionary(text.type):
        return with_dictionary(cleared(text.cast(pa.string()), how, nulls))
    trimmed = pc.utf8_trim_whitespace(text)
    emptied = pc.is_in(trimmed, value_set=pa.array(["", *nulls, *how.null_values]))
    return pc.if_else(pc.and_(emptied, pc.not_equal(text, trimmed)), NO_TEXT, trimmed)


def _nulled(text: Array, spellings: Sequence[str]) -> Array:
    if pa.types.is_dictionary(text.type):
        return with_dictionary(_nulled(text.cast(pa.string()), spellings))
    return pc.if_else(pc.is_in(text, value_set=pa.array(spellings)), NO_TEXT, text)


def stripped(text: Array, how: ColumnText) -> Array:
    return pc.utf8_trim(text, characters=how.strip) if how.strip else text


def number(text: Array, how: ColumnText) -> Array:
    """A number with its sign before it, a point and no groups of digits."""
    text = stripped(text, how)
    if how.percent:
        text = _without_percent(text)
    text = _signed(text, how)
    if how.thousands:
        text = _ungrouped(text, how.thousands, how.decimal or ".")
    if how.decimal not in {".", None}:
        text = pc.replace_substring(_kept(text, pc.match_substring(text, "."), want=False), how.decimal, ".")
    if how.percent:  # an exponent moves the point exactly
        plain = pc.match_substring_regex(text, grammar(_WIDEST, lenient=how.lenient))
        plain = pc.and_(plain, pc.invert(pc.match_substring_regex(text, "[eE]")))
        text = pc.binary_join_element_wise(_kept(text, plain), "e-2", "")
    return text


def _without_percent(text: Array) -> Array:
    """A space may stand before the sign, and a sign of the number behind it."""
    if pc.any(pc.match_substring_regex(text, "[)-]$")).as_py():
        signed = pc.match_substring_regex(text, _PERCENT)
        return _kept(pc.replace_substring_regex(text, _PERCENT, r"\1\2"), signed)
    return _rid_of_space(_kept(pc.utf8_slice_codeunits(text, 0, -1), pc.ends_with(text, "%")))


def _rid_of_space(text: Array) -> Array:
    for space in _SPACES:
        ends = pc.ends_with(text, space)
        if pc.any(ends).as_py():
            return pc.if_else(ends, pc.utf8_slice_codeunits(text, 0, -1), text)
    return text


def _kept(text: Array, fits: Array, *, want: bool = True) -> Array:
    """*text* where *fits* is as wanted."""
    return pc.if_else(fits, text, _NONE) if want else pc.if_else(fits, _NONE, text)


def _signed(text: Array, how: ColumnText) -> Array:
    """A minus before the number, whichever of the spellings shows it; then the number is stripped again."""
    if "-5" not in how.negative:
        text = _kept(text, pc.starts_with(text, "-"), want=False)
    for spelling, (shows, mark, pattern) in _NEGATIVE.items():
        if spelling in how.negative and pc.any(shows(text, mark)).as_py():
            text = pc.replace_substring_regex(text, pattern, r"-\1")
    noise = _any_of(how.strip) if how.strip else ""
    if how.lenient and pc.any(pc.starts_with(text, "+")).as_py():
        text = pc.replace_substring_regex(text, rf"^\+{noise}([^-+]|$)", r"\1")
    if how.strip and pc.any(pc.starts_with(text, "-")).as_py():
        text = stripped(pc.replace_substring_regex(text, f"^-{noise}", "-"), how)
    return text


_NEGATIVE: dict[str, tuple[Callable[[Array, str], Array], str, str]] = {
    "(5)": (pc.starts_with, "(", r"^\(([^-].*)\)$"),
    "5-": (pc.ends_with, "-", "^([^-].*)-$"),
    f"{_MINUS}5": (pc.starts_with, _MINUS, f"^{_MINUS}([^-].*)$"),
}
"""A number that has a minus already is left alone: two of them are no sign."""


def _any_of(characters: str) -> str:
    return "[" + "".join(rf"\x{{{ord(character):x}}}" for character in characters) + "]*"


def _ungrouped(text: Array, mark: str, point: str) -> Array:
    """Groups have three digits. All but the last may have two, as in India."""
    if not pc.any(grouped := pc.match_substring(text, mark)).as_py():
        return text
    t, d = (rf"\x{{{ord(character):x}}}" for character in (mark, point))
    groups = rf"(?:[0-9]{{1,3}}(?:{t}[0-9]{{3}})+|[0-9]{{1,2}}(?:{t}[0-9]{{2}})+{t}[0-9]{{3}})"
    fits = pc.match_substring_regex(text, rf"^[-+]?{groups}(?:{d}[0-9]*)?(?:[eE][-+]?[0-9]+)?$")
    return pc.if_else(grouped, _kept(pc.replace_substring(text, mark, ""), fits), text)


def truth(text: Array, how: ColumnText) -> Array:
    """`true` and `false` for their spellings, in any case."""
    text = stripped(text, how)
    if not how.true and not how.false:
        return text
    lower = pc.utf8_lower(text)

    def is_one_of(spellings: Sequence[str], default: str) -> Array:
        return pc.is_in(lower, value_set=pc.utf8_lower(pa.array(spellings or [default])))

    known = pc.if_else(
        is_one_of(how.true, "true"), "true", pc.if_else(is_one_of(how.false, "false"), "false", _NONE)
    )
    return pc.if_else(text.is_valid(), known, NO_TEXT)


CANONICAL: dict[str, Callable[[Array, ColumnText], Array]] = {
    "bool": truth,
    "int64": number,
    "float64": number,
    "decimal": number,
    "date": stripped,
    "timestamp": stripped,
    "timestamptz": stripped,
    "string": stripped,
}
