"""The version of stored plans, unit payloads and states.

A worker claims only units of its own version. Raise it with any change of these formats. A new aggregate
changes none of them.
"""

STATE_VERSION = 6
