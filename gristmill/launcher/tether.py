"""Runs a command that cannot outlive the process that started it.

    python -I -S tether.py PARENT SIGNAL UID GID COMMAND...

It is started by path with an isolated interpreter, so it needs the standard library only and takes about 15
ms. UID -1 keeps the user. The order matters. A change of user clears the death signal, so the signal is set
after it. A parent that died before that never sends it, so the parent is checked last.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, death_signal, uid, gid = map(int, sys.argv[1:5])
    command = sys.argv[5:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        sys.exit("prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != parent:
        sys.exit("the launcher is gone")
    try:
        os.execv(command[0], command)  # noqa: S606  # replacing this process is the point
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
