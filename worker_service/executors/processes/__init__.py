"""Child processes: the pool of slots, the processes, the template they are forks of, the channel to them.

This module imports nothing, because children import the channel from beside it.
"""
