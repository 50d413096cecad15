"""Typed columns straight from the bytes of a block, by the native library; the plain path is `sift`."""
