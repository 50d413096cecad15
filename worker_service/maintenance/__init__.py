"""The services that run beside the units: heartbeat, fitness, sweeper, pruner.

Each runs in every worker; none leads. They have one shape: `run_once` does the work that there is now and
returns a report, a frozen value of counts. `shared.loops.forever` calls it again and again, and logs the
reports.
"""
