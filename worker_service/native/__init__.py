"""The native library: C11, without Python's headers, called through ctypes on numpy's and Arrow's buffers.

Each function of it has a twin in Python with the same answer. So all works without it, only slower.
`GRISTMILL_NATIVE` says if it is used: `auto` where it is there, `off`, or `require`.
"""

from worker_service.native.library import Library, absence, library, variant

__all__ = ["Library", "absence", "library", "variant"]
