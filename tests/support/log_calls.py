"""The log lines that the source writes: the events, and the fields of each."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("shared", "api_service", "worker_service")
LEVELS = {"debug", "info", "warning", "error", "exception", "log"}
_OPTIONS = {"exc_info", "stack_info"}


def fields() -> dict[str, set[str]]:
    """Field -> the modules that write it."""
    found = defaultdict(set)
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text())):
                if _is_log_call(call):
                    for keyword in call.keywords:
                        if keyword.arg not in {None, *_OPTIONS}:
                            found[keyword.arg].add(str(path.relative_to(ROOT)))
    return dict(found)


def _is_log_call(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name("log"), attr=attr)):
            return attr in LEVELS
        case ast.Call(func=ast.IfExp()):
            return "log" in {name.id for name in ast.walk(node.func) if isinstance(name, ast.Name)}
        case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Attribute(attr="get_logger")), attr=attr)):
            return attr in LEVELS
    return False
