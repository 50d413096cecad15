"""What keeps going beside the units: heartbeat, dispatcher, sweeper, pruner.

Each runs in every worker; none leads.
"""
