"""Regular expressions of the kind RE2: the part of their syntax that can be checked without the engine.

The engine itself refuses the rest when the job is planned, before any row is read.
"""

import re

GROUP = "g"
"""The name of the group whose text is extracted."""

_TOKEN = re.compile(
    r"""(?P<escape>\\Q.*?(?:\\E|$)|\\.)
    |(?P<set>\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*+\])
    |(?P<named>\(\?P?<[^>=!]*>)
    |(?P<look>\(\?<?[=!])
    |(?P<special>\(\?)
    |(?P<open>\()
    |(?P<close>\))
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_NEEDS_RE2 = "a pattern of RE2, which has no"


def rewritten(pattern: str) -> str:
    """*pattern* with its first group, or itself as a whole, named GROUP, and the other groups without names.

    Raises ValueError for brackets that do not pair, look-around and back-references.
    """
    parts: list[str] = []
    depth, groups = 0, 0
    for match in _TOKEN.finditer(pattern):
        kind, text = match.lastgroup, match[0]
        if kind == "look":
            raise ValueError(f"{_NEEDS_RE2} look-around such as {text}")
        if kind == "escape" and text[1] in "123456789":
            raise ValueError(f"{_NEEDS_RE2} back-references such as {text}")
        if text in {"[", "\\"}:
            raise ValueError(f"a pattern whose {text} at character {match.start() + 1} is complete")
        if kind in {"open", "named"}:
            groups += 1
            text = f"(?P<{GROUP}>" if groups == 1 else "(?:"
        depth += (kind in {"open", "named", "special"}) - (kind == "close")
        if depth < 0:
            raise ValueError(f"a pattern whose ) at character {match.start() + 1} closes a bracket")
        parts.append(text)
    if depth:
        raise ValueError("a pattern that closes every bracket")
    return "".join(parts) if groups else f"(?P<{GROUP}>{pattern})"
