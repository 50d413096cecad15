"""Gristmill for the people who use it: the command line and the standalone launcher.

It speaks HTTP and starts processes, nothing else.
"""
