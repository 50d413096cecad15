"""Faults that the command line itself finds; the text of each has the place, the value and the cure."""


class Mistake(Exception):
    """A wrong use of the command line."""


class Refused(Exception):
    """The thing is not there, or not yet in the state that the command needs."""
