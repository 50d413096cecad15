"""Compiles the native library; `pip install` and `make native` run it. Without a compiler there is none.

The compiler is the system's `cc` or `clang`, else that of the wheel `ziglang`, which only building needs.
"""

import importlib.util
import os
import platform
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

NATIVE = Path(__file__).parent / "worker_service/native"
_ARM = {"armv8": ("-march=armv8-a", "-mcpu=generic")}
VARIANTS = {
    "x86_64": {
        "x86-64-v2": ("-march=x86-64-v2", "-mcpu=x86_64_v2"),
        "x86-64-v3": ("-march=x86-64-v3", "-mcpu=x86_64_v3"),
    },
    "aarch64": _ARM,
    "arm64": _ARM,
}
"""Machine -> name of each variant, and its flag for a C compiler and for Zig; the widest is loaded."""
ZIG_PLATFORMS = {("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "x86_64"), ("darwin", "arm64")}
FLAGS = ["-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno"]
FLAGS += ["-Wall", "-Wextra", "-fwrapv", "-g0", "-s"]


def compiler() -> list[str] | None:
    """The command of a C compiler; $CC first."""
    if named := os.environ.get("CC"):
        return named.split()
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    return [sys.executable, "-m", "ziglang", "cc"] if importlib.util.find_spec("ziglang") else None


def compile_library() -> list[Path]:
    """The libraries, one for each variant of this machine; none where nothing can be compiled."""
    cc, variants = compiler(), VARIANTS.get(platform.machine(), {})
    stamped = f"-DGM_STAMP={runpy.run_path(str(NATIVE / 'stamp.py'))['stamp']()}ULL"
    sources = sorted(map(str, (NATIVE / "source").glob("*.c")))
    made: list[Path] = []
    for name, told in variants.items():
        target = NATIVE / f"libgristmill-{name}.so"
        target.unlink(missing_ok=True)
        if cc is None:
            continue
        built = target.with_suffix(".new")
        try:
            command = [*cc, *FLAGS, stamped, told["ziglang" in cc], *sources, "-o", str(built)]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
        except OSError as error:
            print(f"the native library is left out: {cc[0]}: {error.strerror}", file=sys.stderr)
            continue
        if done.returncode:
            print(f"the native library {name} is left out:\n{done.stderr}", file=sys.stderr)
            continue
        built.replace(target)
        made.append(target)
    return made


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script
    pass
else:

    class NativeBuildHook(BuildHookInterface):  # type: ignore[type-arg,misc]
        """Adds the library to the wheel, which then fits one platform and any Python."""

        def dependencies(self) -> list[str]:
            known = (sys.platform, platform.machine()) in ZIG_PLATFORMS
            return ["ziglang>=0.15,<0.18"] if compiler() is None and known else []

        def initialize(self, version: str, build_data: dict[str, object]) -> None:  # noqa: ARG002
            made = compile_library()
            if made:
                build_data["pure_python"] = False
                build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
                build_data["artifacts"] = [f"/{path.relative_to(self.root)}" for path in made]


if __name__ == "__main__":
    sys.exit(0 if compile_library() else "no library was made")
