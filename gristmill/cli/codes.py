"""Exit codes."""

OK = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
TIMEOUT = 124
INTERRUPTED = 130
CLOSED_PIPE = 141
"""As of a program that SIGPIPE ends."""
