"""Gristmill for its users: the command line and the launcher.

It speaks HTTP and starts processes, nothing else.
"""
