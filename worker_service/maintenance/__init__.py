"""What goes on beside the units: heartbeat, fitness, sweeper, pruner.

Each runs in every worker; none leads. They have one shape: `run_once` does what is to be done now and returns
a report, a frozen value of counts. `shared.loops.forever` calls it again and again, and logs the reports.
"""
