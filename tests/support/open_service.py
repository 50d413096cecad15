"""`python -m tests.support.open_service MODULE ARGUMENTS...`: a service open to the processes of its user.

For tests and benchmarks that read the connections or the memory of services, and do not run as root.
"""

import runpy
import sys
from functools import partial

from shared import process
from worker_service.executors.processes import pool

if __name__ == "__main__":
    process.harden = dict
    pool.ProcessExecutor = partial(pool.ProcessExecutor, module="tests.support.open_child")
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
