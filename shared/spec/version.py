"""The version of the plans and states that units write.

A worker claims only units of a version that it can write.
"""

STATE_VERSION = 4
