"""The documents use plain words: short sentences, no riddles, no overfull table cells.

How a page is read: fenced and indented code and HTML comments are left out. A paragraph, a list item and a table
cell are each a block. A block is cut into sentences at `.`, `!` and `?`; a table cell also at `;`, because a cell
holds notes. A code span counts as one word, and so does a list of code spans, each followed by at most one word
("`a`, `b` and `c`", "`n` int64; `min` int32").
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
MOST_WORDS = 24
P90_WORDS = 20
MOST_CELL_CHARACTERS = 299
BANNED = re.compile(
    r"\b(who|whom|whoever|somebody|someone|nobody|no one|anybody|anyone|everybody|everyone"
    r"|what|it is so|is it so|by which means)\b",
    re.IGNORECASE,
)
_FENCE = re.compile(r"^\s*```")
_COMMENT = re.compile(r"^\s*<!--.*-->\s*$")
_RULE = re.compile(r"^\|[-:| ]+\|$")
_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.)\s+")
_CELL = re.compile(r"(?<!\\)\|")
_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
_SPANS = re.compile(r"\bCODE(?: \w+)?(?:(?:[,;]| and| or|, and|, or) CODE(?: \w+)?)+\b")


class Block(NamedTuple):
    line: int
    kind: str
    """`heading`, `cell` or `text`."""
    text: str


class Sentence(NamedTuple):
    line: int
    kind: str
    text: str
    words: int


def blocks(page: str) -> Iterator[Block]:
    """The prose of a page, without code."""
    fenced, text, start = False, "", 0
    before_is_blank = True
    for number, line in enumerate([*page.splitlines(), ""], 1):
        fence = bool(_FENCE.match(line))
        code = fenced or fence or (line.startswith("    ") and before_is_blank)
        ends = code or not line.strip() or line.startswith(("#", "|")) or _COMMENT.match(line)
        if text and (ends or _ITEM.match(line)):
            yield Block(start, "text", text)
            text = ""
        if line.startswith("#") and not code:
            yield Block(number, "heading", line.lstrip("# "))
        elif line.startswith("|") and not code and not _RULE.match(line):
            yield from (Block(number, "cell", cell.strip()) for cell in _CELL.split(line)[1:-1])
        elif not ends:
            start = start if text else number
            text = f"{text} {_ITEM.sub('', line).strip()}".strip()
        fenced ^= fence
        before_is_blank = not line.strip() or (code and not fence)


def sentences(page: str) -> Iterator[Sentence]:
    for block in blocks(page):
        spans = _SPAN.findall(block.text)
        plain = _SPAN.sub("CODE", re.sub(r"\]\([^)]*\)", "]", block.text)) if spans else block.text
        plain = re.sub(r"\]\([^)]*\)", "]", plain)
        ends = r"(?<=[.!?])\)?\s+|;\s+" if block.kind == "cell" else r"(?<=[.!?])[)\"*]*\s+"
        for text in re.split(ends, plain):
            counted = _SPANS.sub("CODE", text)
            words = sum(any(map(str.isalnum, word)) for word in counted.split())
            if words:
                yield Sentence(block.line, block.kind, text, words)


def words_at_p90(found: list[Sentence]) -> int:
    lengths = sorted(sentence.words for sentence in found if sentence.kind != "heading")
    return lengths[int(0.9 * (len(lengths) - 1))] if lengths else 0


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def page(request) -> Path:
    return request.param


def listed(page: Path, found: list[tuple[int, str]]) -> str:
    return "".join(f"\n{page.relative_to(ROOT)}:{line}: {text}" for line, text in found)


def test_no_sentence_has_more_than_24_words_and_one_in_ten_more_than_20(page):
    found = list(sentences(page.read_text()))
    long = [(each.line, f"{each.words} words: {each.text}") for each in found if each.words > MOST_WORDS]

    assert not long, listed(page, long)
    assert words_at_p90(found) <= P90_WORDS, (
        f"{page.name}: one sentence in ten is longer than {P90_WORDS} words"
    )


def test_no_sentence_has_a_banned_word(page):
    banned = [
        (each.line, f"{word[0]!r} in: {each.text}")
        for each in sentences(page.read_text())
        for word in [BANNED.search(each.text)]
        if word and not each.text.endswith("?")
    ]

    assert not banned, listed(page, banned)


def test_no_table_cell_has_300_characters(page):
    cells = [
        (block.line, f"{len(block.text)} characters: {block.text}")
        for block in blocks(page.read_text())
        if block.kind == "cell" and len(block.text) > MOST_CELL_CHARACTERS
    ]

    assert not cells, listed(page, cells)
