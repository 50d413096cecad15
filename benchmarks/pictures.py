"""Pictures of figures as SVG: bars of ratios about one, and bars of seconds."""

import math
from collections.abc import Sequence
from html import escape

WIDTH, LABELS, RIGHT, ROW, TOP = 720, 170, 70, 22, 46
AHEAD, BEHIND, PLAIN, INK, FAINT = "#2f7d4f", "#c0562b", "#8a97a6", "#24292f", "#c9d1d9"


def ratios(title: str, rows: Sequence[tuple[str, float]]) -> str:
    """A bar a row on a scale of doublings: to the left of 1x where Gristmill is faster, else to the right."""
    most = max(1, *(math.ceil(abs(math.log2(value))) for _, value in rows))
    span = (WIDTH - LABELS - RIGHT) / 2
    middle = LABELS + span

    def at(value: float) -> float:
        return middle + span * math.log2(value) / most

    grid = [2.0**power for power in range(-most, most + 1)]
    lines = [
        part
        for value in grid
        for part in (
            _rule(at(value), len(rows), INK if value == 1 else FAINT),
            _text(at(value), TOP - 6, f"{value:g}x", anchor="middle", size=10),
        )
    ]
    for no, (name, value) in enumerate(rows):
        left, right = sorted((middle, at(value)))
        lines += _bar(no, name, left, right, AHEAD if value <= 1 else BEHIND)
        lines.append(_text(right + 5 if value > 1 else middle + 5, _middle(no), f"{value:.2f}x", size=11))
    return _picture(title, lines, len(rows))


def seconds(title: str, rows: Sequence[tuple[str, float]]) -> str:
    """A bar a row, from zero; Gristmill's has a colour of its own."""
    most = max(value for _, value in rows)
    span = WIDTH - LABELS - RIGHT
    lines = []
    for no, (name, value) in enumerate(rows):
        colour = AHEAD if "Gristmill" in name else PLAIN
        right = LABELS + span * value / most
        lines += _bar(no, name, LABELS, right, colour)
        lines.append(_text(right + 5, _middle(no), f"{value:.2f} s", size=11))
    return _picture(title, lines, len(rows))


def _middle(no: int) -> float:
    return TOP + no * ROW + ROW / 2 + 4


def _bar(no: int, name: str, left: float, right: float, colour: str) -> list[str]:
    width, y = max(right - left, 1), TOP + no * ROW + 4
    bar = f'<rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 8}" fill="{colour}"/>'
    return [_text(LABELS - 8, _middle(no), name, anchor="end"), bar]


def _rule(x: float, rows: int, colour: str) -> str:
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{TOP + rows * ROW}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'


def _picture(title: str, lines: Sequence[str], rows: int) -> str:
    height = TOP + rows * ROW + 10
    heading = f'<text x="10" y="20" font-size="13" font-weight="bold">{escape(title)}</text>'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" fill="{INK}" role="img">'
    )
    ground = f'<title>{escape(title)}</title><rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, ground, heading, *lines, "</svg>", ""])
