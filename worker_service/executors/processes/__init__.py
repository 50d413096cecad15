"""Child processes: a pool of slots, the processes, the template that they are forks of, and the channel to them.

This module imports nothing, because children import the channel from beside it.
"""
