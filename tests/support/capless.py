"""`python -m tests.support.capless COMMAND...`: run it as root without capabilities.

An ordinary user has none anyway.

Such a root is to another what an ordinary user is to itself: it owns the same files, and may not look into
every process.
"""

import os
import sys

from shared import process

if __name__ == "__main__":
    process.prctl(process.PR_SET_NO_NEW_PRIVS, 1)
    process._keep_capabilities(0)
    os.execvp(sys.argv[1], sys.argv[1:])
