"""The documents use plain words: short sentences, no riddles, no overfull table cells.

So do the docstrings and comments of the packages, and the comments of the SQL statements.

Fenced and indented code and HTML comments are left out. A paragraph, a list item and a table cell are each a
block. A block is cut into sentences at `.`, `!` and `?`. A cell is also cut at `;`, because it holds notes. A
code span counts as one word. So does a list of code spans, each with at most one word behind it:
"`a`, `b` and `c`", or "`n` int64; `m` int32".
"""

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "deploy/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
PACKAGES = ["shared", "api_service", "worker_service", "gristmill"]
MOST_WORDS = 24
P90_WORDS = 20
MOST_CELL_CHARACTERS = 299
BANNED = re.compile(
    r"\b(who|whom|whoever|somebody|someone|nobody|no one|anybody|anyone|everybody|everyone"
    r"|what|it is so|is it so|by which means)\b",
    re.IGNORECASE,
)
"""Questions may have them."""
_FENCE = re.compile(r"^\s*```")
_COMMENT = re.compile(r"^\s*<!--.*-->\s*$")
_RULE = re.compile(r"^\|[-:| ]+\|$")
_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.)\s+")
_BAR = re.compile(r"(?<!\\)\|")
_TARGET = re.compile(r"\]\([^)]*\)")
_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
_NOTED = r"\bC0DE\b(?: \w+(?=[,;.]|$| and C0DE| or C0DE))?"
_SPANS = re.compile(rf"{_NOTED}(?:(?:[,;]| and| or|, and|, or) {_NOTED})+")
_DIRECTIVE = re.compile(r"# (?:noqa|type: ignore|fmt:)[^#]*")
_STATEMENT_NAME = re.compile(r"-- \w+ --$")
_ENDS = {
    "heading": re.compile(r"(?<=[.!?])\s+"),
    "cell": re.compile(r"(?<=[.!?])[)\"*]*\s+|;\s+"),
    "text": re.compile(r"(?<=[.!?])[)\"*]*\s+"),
}


class Block(NamedTuple):
    line: int
    kind: str
    """A key of _ENDS."""
    text: str


class Sentence(NamedTuple):
    line: int
    kind: str
    text: str
    words: int
    banned: str | None


def blocks(page: str) -> Iterator[Block]:
    """The prose of a page, without code."""
    fenced, before_is_blank = False, True
    text, start = "", 0
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
            yield from (Block(number, "cell", cell.strip()) for cell in _BAR.split(line)[1:-1])
        elif not ends:
            start = start if text else number
            text = f"{text} {_ITEM.sub('', line).strip()}".strip()
        fenced ^= fence
        before_is_blank = not line.strip() or (code and not fence)


def sentences(page: str) -> Iterator[Sentence]:
    for block in blocks(page):
        spans = iter([found[0] for found in _SPAN.finditer(block.text)])
        for text in _ENDS[block.kind].split(_TARGET.sub("]", _SPAN.sub("C0DE", block.text))):
            words = sum(any(map(str.isalnum, word)) for word in _SPANS.sub("C0DE", text).split())
            banned = None if text.endswith("?") else BANNED.search(text)
            shown = re.sub("C0DE", lambda _: next(spans), text)  # noqa: B023  # used at once
            yield Sentence(block.line, block.kind, shown, words, banned and banned[0])


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Each with its first line."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, inspect.cleandoc(text)


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Each comment, or run of comments that have lines of their own, with its first line."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            own = token.line.lstrip().startswith("#")
            found.append((token.start[0], own, _DIRECTIVE.sub("", token.string).removeprefix("#")))
    yield from runs(found)


def sql_comments(source: str) -> Iterator[tuple[int, str]]:
    lines = ((number, line.strip()) for number, line in enumerate(source.splitlines(), 1))
    yield from runs(
        (number, True, line.removeprefix("--"))
        for number, line in lines
        if line.startswith("--") and not _STATEMENT_NAME.match(line)
    )


def runs(lines: Iterable[tuple[int, bool, str]]) -> Iterator[tuple[int, str]]:
    """*lines* have a number, whether the line holds nothing else, and a text."""
    start, run = 0, []
    for number, own, text in lines:
        if not own or number != start + len(run):
            yield start, "\n".join(run)
            start, run = number, []
        run.append(text.removeprefix(" "))
        if not own:
            yield start, run.pop()
            start = 0
    yield start, "\n".join(run)


def unplain(texts: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The sentences that are too long or have a banned word."""
    for start, text in texts:
        for each in sentences(text):
            if each.words > MOST_WORDS or each.banned:
                why = f'"{each.banned}" in' if each.banned else f"{each.words} words"
                yield start + each.line - 1, f"{why}: {each.text}"


def p90(words: list[int]) -> int:
    """The number of words that nine sentences in ten do not exceed."""
    return sorted(words)[int(0.9 * (len(words) - 1))]


@pytest.fixture(params=PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def path(request) -> Path:
    return request.param


def report(path: Path, found: Iterator[tuple[int, str]]) -> str:
    return "".join(f"\n{path.relative_to(ROOT)}:{line}: {text}" for line, text in found)


def test_a_sentence_has_at_most_24_words_and_nine_in_ten_have_at_most_20(path):
    found = list(sentences(path.read_text()))
    most = p90([each.words for each in found if each.kind != "heading"])

    long = ((each.line, f"{each.words} words: {each.text}") for each in found if each.words > MOST_WORDS)
    assert not (text := report(path, long)), text
    assert most <= P90_WORDS, f"{path.name}: one sentence in ten has {most} words or more"


def test_no_sentence_has_a_banned_word(path):
    banned = (
        (each.line, f'"{each.banned}" in: {each.text}') for each in sentences(path.read_text()) if each.banned
    )
    assert not (text := report(path, banned)), text


def test_no_table_cell_has_300_characters(path):
    cells = (
        (block.line, f"{len(block.text)} characters: {block.text}")
        for block in blocks(path.read_text())
        if block.kind == "cell" and len(block.text) > MOST_CELL_CHARACTERS
    )
    assert not (text := report(path, cells)), text


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_and_comments_use_plain_words(package):
    text = ""
    for path in sorted((ROOT / package).rglob("*.py")):
        source = path.read_text()
        text += report(path, unplain([*docstrings(source), *comments(source)]))
    assert not text, text


def test_comments_of_statements_use_plain_words():
    paths = sorted((ROOT / "shared/db/queries").glob("*.sql"))
    text = "".join(report(path, unplain(sql_comments(path.read_text()))) for path in paths)
    assert not text, text


def test_a_violation_is_found_in_a_docstring_and_in_a_comment():
    source = '''class Sieve:
    """A sieve.

    It holds what is coarse.
    """

    mesh: int  # noqa: A001  # nobody knows
    """Of this, *someone* knows."""

    # It has one line, and
    # no one reads it.
    width: int
'''
    assert list(unplain(docstrings(source))) == [
        (4, '"what" in: It holds what is coarse.'),
        (8, '"someone" in: Of this, *someone* knows.'),
    ]
    assert list(unplain(comments(source))) == [
        (7, '"nobody" in: nobody knows'),
        (10, '"no one" in: It has one line, and no one reads it.'),
    ]
    assert list(unplain(sql_comments("-- what --\n-- This is\n-- what it is.\nSELECT 1"))) == [
        (2, '"what" in: This is what it is.'),
    ]
    long = "word " * (MOST_WORDS + 1)
    assert [each[0] for each in unplain([(3, long), (5, "word " * MOST_WORDS)])] == [3]


def test_a_page_is_read_as_described():
    page = """# The title

A paragraph of two
lines. It names `a.b`, `c` and `d` in [a link](page.md#part).

    code is left out

- An item. Who asks?

| a cell; two notes | `x` int64; `y` int32 |
|---|---|
"""
    assert [tuple(each) for each in sentences(page)] == [
        (1, "heading", "The title", 2, None),
        (3, "text", "A paragraph of two lines.", 5, None),
        (3, "text", "It names `a.b`, `c` and `d` in [a link].", 6, None),
        (8, "text", "An item.", 2, None),
        (8, "text", "Who asks?", 2, None),
        (10, "cell", "a cell", 2, None),
        (10, "cell", "two notes", 2, None),
        (10, "cell", "`x` int64", 2, None),
        (10, "cell", "`y` int32", 2, None),
    ]


def test_a_banned_word_is_found_in_a_statement():
    assert [each.banned for each in sentences("It is what it is. Nobody knows. What is it?")] == [
        "what",
        "Nobody",
        None,
    ]
