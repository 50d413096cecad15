"""The program of a child process: no credentials, no connections.

Files come in and answers go out as descriptors.
"""
