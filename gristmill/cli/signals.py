"""The end of a command that a signal asks for."""


class Stopped(KeyboardInterrupt):
    """A signal asked the command to end. Only the first one raises: the command then ends in order."""
