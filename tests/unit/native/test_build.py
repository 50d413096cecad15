"""The build hook: what a wheel gets, and that all goes on without a compiler."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import types
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import pytest

from shared.errors import InternalError
from tests.support.native import needs_library, path
from tests.support.wheels import contents, copy_tree, wheel_of
from worker_service.native import absence, library, variant

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tree(tmp_path):
    """What the hook needs, in a folder of its own: it deletes libraries that it cannot make anew."""
    shutil.copy(ROOT / "hatch_build.py", tmp_path)
    shutil.copytree(
        ROOT / "worker_service/native",
        tmp_path / "worker_service/native",
        ignore=shutil.ignore_patterns("*.so"),
    )
    return tmp_path


def hook(tree):
    """The module, beside a stand-in for hatchling, which only a build has."""
    interface = types.ModuleType("hatchling.builders.hooks.plugin.interface")
    interface.BuildHookInterface = type(
        "BuildHookInterface", (), {"__init__": lambda self, root: setattr(self, "root", str(root))}
    )
    spec = importlib.util.spec_from_file_location("hatch_build_of_tree", tree / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    with patch.dict(sys.modules, {"hatchling.builders.hooks.plugin.interface": interface}):
        spec.loader.exec_module(module)
    return module


@pytest.mark.full
@pytest.mark.skipif(
    not (shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")),
    reason="there is no compiler here",
)
def test_the_wheel_has_the_libraries_and_fits_one_platform_and_any_python(tree):
    data = {}
    hook(tree).NativeBuildHook(tree).initialize("standard", data)
    assert data["pure_python"] is False
    assert data["tag"].startswith("py3-none-")
    assert data["tag"].endswith(os.uname().machine)
    assert "any" not in data["tag"]
    made = sorted(path.name for path in (tree / "worker_service/native").glob("*.so"))
    assert made
    assert sorted(Path(path).name for path in data["artifacts"]) == made


def test_without_a_compiler_the_wheel_is_pure(tree, capsys):
    data = {}
    with patch.dict(os.environ, CC="/nonexistent"):
        hook(tree).NativeBuildHook(tree).initialize("standard", data)
    assert data == {}
    assert "the native library is left out: /nonexistent" in capsys.readouterr().err


def test_a_compiler_that_fails_leaves_the_library_out(tree, capsys):
    with patch.dict(os.environ, CC="false"):
        assert hook(tree).compile_library() == []
    assert "is left out" in capsys.readouterr().err
    assert not list((tree / "worker_service/native").glob("*.so"))


def test_require_needs_a_library_and_off_uses_none():
    with path("off"):
        assert library() is None
        assert variant() is None
    none = patch("worker_service.native.library._variants", return_value=[])
    with path("require"), none, pytest.raises(InternalError, match="set GRISTMILL_NATIVE to auto"):
        variant()


OLD = "long gm_stamp(void) { return 1; }\n" + "".join(
    f"void {name}(void) {{}}\n"
    for name in import_module("worker_service.native.library")._SIGNATURES
    if name != "gm_stamp"
)
"""All functions, but of other sources."""


@needs_library
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "was not built here"),
        ("no library", "invalid ELF header|file too short"),
        ("int some;", "undefined symbol: gm_"),
        (OLD, "was built from other sources"),
    ],
)
def test_a_library_that_cannot_be_used_is_left_aside_with_the_reason(tmp_path, text, why, tree):
    path_of = tmp_path / "lib.so"
    if text == "no library":
        path_of.write_text(text)
    elif text:
        (tmp_path / "lib.c").write_text(text)
        subprocess.run(
            [*hook(tree).compiler(), "-shared", "-fPIC", tmp_path / "lib.c", "-o", path_of], check=True
        )
    with patch("worker_service.native.library._path", return_value=path_of):
        with path("auto"):
            assert library() is None
            assert re.search(why, absence())
        with path("require"), pytest.raises(InternalError, match="set GRISTMILL_NATIVE to auto"):
            variant()


def test_a_worker_that_requires_the_library_ends_without_one(tree):
    shutil.copytree(ROOT / "shared", tree / "shared")
    shutil.copytree(
        ROOT / "worker_service",
        tree / "worker_service",
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("*.so"),
    )
    urls = {"GRISTMILL_DATABASE_URL": "postgresql:///x", "GRISTMILL_REDIS_URL": "redis://x"}
    done = subprocess.run(
        [sys.executable, "-m", "worker_service"],
        cwd=tree,
        env={**os.environ, **urls, "GRISTMILL_NATIVE": "require"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "libgristmill-" in done.stderr
    assert "was not built here" in done.stderr


NO_COMPILER = {"PATH": sysconfig.get_path("scripts")}
"""Then the wheel `ziglang` compiles, which pip fetches."""


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("changed", [{}, NO_COMPILER, {"CC": "/nonexistent"}])
def test_a_real_wheel(tmp_path, changed):
    wheel = wheel_of(copy_tree(tmp_path / "tree"), tmp_path, **changed)
    names = contents(wheel)
    libraries = [name for name in names if name.endswith(".so")]
    assert bool(libraries) == ("CC" not in changed)
    assert {Path(name).parent.as_posix() for name in libraries} <= {"gristmill/_server/worker_service/native"}
    assert wheel.name.endswith("-any.whl") == ("CC" in changed)
    assert not any("ziglang" in name for name in names)
