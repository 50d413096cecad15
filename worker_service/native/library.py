"""Finds and loads the library; the one place that knows the C signatures."""

import ctypes
import os
import platform
from functools import cache
from pathlib import Path
from typing import TypeAlias

from shared.errors import InternalError

Library: TypeAlias = ctypes.CDLL

_HERE = Path(__file__).parent
_V3 = {"avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}
"""The features of the level x86-64-v3, by the names that Linux has for them."""

_P, _I64, _I32 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
_SIGNATURES: dict[str, tuple[list[type], type | None]] = {
    "gm_hash_strings": ([_P, _P, _I64, _P], None),
    "gm_keys_new": ([_I64], _P),
    "gm_keys_free": ([_P], None),
    "gm_keys_size": ([_P], _I64),
    "gm_keys_bytes": ([_P], _I64),
    "gm_keys_words": ([_P, _P, _P, _I64, _I64, _P, _P], _I64),
    "gm_keys_strings": ([_P, _P, _P, _I64, _P, _I64, _I64, _P, _P], _I64),
    "gm_pack_codes": ([_P, _I64, _I64, _P], None),
    "gm_double_range": ([_P, _I64, _P], None),
    "gm_add_doubles": ([_P, _P, _I64, _I64, _P, _I64], None),
    "gm_add_ints": ([_P, _P, _I64, _P, _I64], None),
    "gm_add_words": ([_P, _P, _I64, _P, _I64], None),
    "gm_add_products": ([_P, _P, _P, _I64, _I64, _I64, _I64, _P, _I64], None),
    "gm_totals_moved": ([_P, _I64, _I64, _I64, _P, _I64], None),
    "gm_totals_digits": ([_P, _I64, _I64, _I64, _P], None),
    "gm_add_counts": ([_P, _I64, _P], None),
    "gm_take_least": ([_P, _P, _I64, _I64, _P], None),
    "gm_tuple_codes": ([_P, _P, _I64, _I64, _P, _I64, _P, _P], _I64),
    "gm_map_indexes": ([_P, _I64, _P, _I64, _I64, _P, _I64, _P], None),
    "gm_first_rows": ([_P, _I64, _P, _I64, _I64, _I64, _P], None),
    "gm_double_keys": ([_P, _I64, _P], None),
    "gm_key_doubles": ([_P, _I64, _P], None),
    "gm_group_bounds": ([_P, _P, _I64, _I64, _P], None),
    "gm_sort_keys": ([_P, _P, _I64, _P, _I64, _P, _P, _P, _P], None),
    "gm_sort_counted": ([_P, _P, _I64, _P, _I64, _P, _P, _P, _P], None),
    "gm_distinct": ([_P, _P, _I64], _I64),
    "gm_take_offsets": ([_P, _P, _I64, _P], _I64),
    "gm_take_runs": ([_P, _P, _I64, _I64, _P, _I64, _P], None),
    "gm_pick": ([_P, _P, _I64, _I64, _P], _I64),
    "gm_offsets": ([_P, _I64, _P, _I64, _P], None),
    "gm_by_day": ([_P, _I64, _P, _I64, _P], None),
    "gm_rounded": ([_P, _P, _I64, _I64, _P, _P], None),
    "gm_room": ([_P, _I64, _I64, _I64], _I64),
    "gm_canonical_rows": ([_P, _I64, _I64, _I64, _P], _I64),
    "gm_copy_rows": ([_P, _I64, _I64, _I64, _P], _I64),
    "gm_order_rows": ([_P, _I64, _P, _I64, _P, _P, _P], None),
    "gm_cut": ([_P, _P, _I64, _I64, _P], _I64),
    "gm_scan": ([_P, _I64, _I32, _I32, _P, _P, _I64, _I64, _P], _I32),
    "gm_count": ([_P, _I64, _I32], _I64),
    "gm_prove": ([_P, _I64, _I32, _I32, _I32, _I32, _P], _I32),
    "gm_int64": ([_P, _P], _I64),
    "gm_decimal": ([_P, _I32, _I32, _P], _I64),
    "gm_bool": ([_P, _P], _I64),
    "gm_float64": ([_P, _P], _I64),
    "gm_date": ([_P, _P], _I64),
    "gm_timestamp": ([_P, _I32, _P], _I64),
    "gm_string_bytes": ([_P], _I64),
    "gm_strings": ([_P, _P, _P, _I64], _I64),
}
"""Function -> types of its arguments and of its result; pointers are addresses."""


@cache
def library() -> Library | None:
    """The library, or None where the Python functions do its work.

    Raises InternalError if GRISTMILL_NATIVE is `require` and there is none.
    """
    found = variant()
    if found is None:
        return None
    loaded = ctypes.CDLL(str(_path(found)))
    for name, (arguments, result) in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = arguments, result
    return loaded


@cache
def variant() -> str | None:
    """The name of the variant in use, such as `x86-64-v3`; None: the Python functions are in use."""
    asked = os.environ.get("GRISTMILL_NATIVE", "auto")
    if asked == "off":
        return None
    found = next((name for name in _variants() if _path(name).exists()), None)
    if found is None and asked == "require":
        raise InternalError(
            "GRISTMILL_NATIVE is 'require', and the native library was not built here: "
            "install a C compiler and Gristmill anew, or set GRISTMILL_NATIVE to auto"
        )
    return found


def _variants() -> list[str]:
    """Those that this machine runs, the widest first."""
    if platform.machine() == "x86_64":
        return ["x86-64-v3", "x86-64-v2"] if _cpu_flags() >= _V3 else ["x86-64-v2"]
    return ["armv8"] if platform.machine() in {"aarch64", "arm64"} else []


def _cpu_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    return {flag for line in text.splitlines() if line.startswith("flags") for flag in line.split()[2:]}


def _path(name: str) -> Path:
    return _HERE / f"libgristmill-{name}.so"
