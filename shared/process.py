"""Calls to the Linux kernel about the process itself: adopt orphans, give up rights that it never needs.

A refusal of the kernel is reported and never fatal: containers and distributions forbid some of these calls.
"""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 15, 36, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000
_CAPABILITIES_VERSION_3 = 0x2008_0522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int | bytes) -> None:
    _checked(
        "prctl",
        option,
        value if isinstance(value, bytes) else ctypes.c_ulong(value),
        *[ctypes.c_ulong(0)] * 3,
    )


def adopt_orphans() -> None:
    """Make descendants whose parent has ended children of this process, so that it can wait for them."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def harden() -> dict[str, str]:
    """Harden any process of the service, as early as possible; returns what is in force, for the log.

    No program that it starts has more rights than it has. No other process of its user may read its
    environment or its memory, which hold passwords. A program that it starts can be read until that program
    hardens itself.
    """
    return {
        "no_new_privs": _told(lambda: prctl(PR_SET_NO_NEW_PRIVS, 1)),
        "no_dump": _told(lambda: prctl(PR_SET_DUMPABLE, 0)),
    }


def isolate() -> dict[str, str]:
    """Isolate a process that parses data of users, and its forks: `harden`, no network, no capabilities.

    The process has one thread. A worker that runs as root may need the files of other users: the capability
    to open them is kept. Descriptors that it has or is given go on to work. It writes to its own files in
    /proc before this call: afterwards only root may.
    """
    held = _permitted()
    kept = _DAC_READ_SEARCH if held & _DAC_READ_SEARCH else held & _DAC_OVERRIDE
    return {
        "no_network": _told(lambda: _leave_network(all_files=bool(kept))),
        "no_capabilities": _told(lambda: _keep_capabilities(kept)),
        **harden(),
    }


def _leave_network(*, all_files: bool) -> None:
    """Enter a new network namespace, in which even loopback is down.

    Where the process lacks the right to do so, a user namespace gives it.
    """
    try:
        _checked("unshare", _CLONE_NEWNET)
    except PermissionError:
        if all_files:
            raise  # in a user namespace it could no longer open the files of other users
        _enter_user_namespace()


def _enter_user_namespace() -> None:
    """Enter a user namespace and a network namespace in which the process keeps its user and group.

    Both numbers are mapped to themselves. Rights on files follow the numbers outside the namespace.
    """
    uid, gid = os.geteuid(), os.getegid()
    _checked("unshare", _CLONE_NEWUSER | _CLONE_NEWNET)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        Path("/proc/self", name).write_text(text)


def _permitted() -> int:
    """The first 32 permitted capabilities, one bit each; those of files are among them."""
    data = (ctypes.c_uint32 * 6)()
    _checked("capget", _header(), data)
    return data[1]


def _keep_capabilities(kept: int) -> None:
    data = (ctypes.c_uint32 * 6)(kept, kept)  # effective and permitted, of the first 32
    _checked("capset", _header(), data)


def _header() -> "ctypes.Array[ctypes.c_uint32]":
    return (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION_3, 0)


def _checked(call: str, *arguments: object) -> None:
    """Raises OSError, also where the C library has no such function."""
    if not hasattr(_libc, call):
        raise OSError(f"this system has no {call}")
    if getattr(_libc, call)(*arguments) == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _told(step: Callable[[], object]) -> str:
    try:
        step()
    except OSError as error:
        return f"no: {error.strerror or error}"
    return "yes"
