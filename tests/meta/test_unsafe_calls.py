"""The service never unpickles, evaluates text as Python, uses a shell or fetches a URL."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ["shared", "api_service", "worker_service"]
MODULES = {
    *("pickle", "dill", "marshal", "shelve", "joblib", "code", "codeop"),  # they run programs in data
    *("httpx2", "httpx", "requests", "urllib3", "urllib.request", "http.client", "ftplib", "fsspec"),
}
CALLS = {"read_pickle", "system", "popen", "ClientSession"}
BUILTINS = CALLS | {"eval", "exec", "compile", "__import__"}
FLAGS = {"allow_pickle", "shell", "trust_env"}
"""Arguments that may not be true."""


def unsafe(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names if name.name in MODULES)
            case ast.ImportFrom(module=str(module), names=names):
                told = {module, *(f"{module}.{name.name}" for name in names)}
                yield from ((node.lineno, name) for name in told & MODULES)
            case ast.Call(func=ast.Name(id=name)) if name in BUILTINS:
                yield node.lineno, name
            case ast.Call(func=ast.Attribute(attr=name)) if name in CALLS:
                yield node.lineno, name
            case ast.keyword(arg=name, value=ast.Constant(value=True)) if name in FLAGS:
                yield node.value.lineno, name


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_does(package):
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, name in unsafe(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "from urllib import request",
        "eval('1')",
        "pd.read_pickle(x)",
        "np.load(x, allow_pickle=True)",
        "subprocess.run(x, shell=True)",
        "os.system(x)",
        "aiohttp.ClientSession()",
    ],
)
def test_each_is_found(source):
    assert len(list(unsafe(source))) == 1
