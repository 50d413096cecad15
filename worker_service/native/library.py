"""Finds and loads the library; the one place that knows the C signatures."""

import ctypes
import os
import platform
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

from shared.errors import InternalError
from worker_service.native.stamp import stamp

Library: TypeAlias = ctypes.CDLL

_HERE = Path(__file__).parent
_V2 = {"cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2"}
_LEVELS = {"x86-64-v3": _V2 | {"avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}, "x86-64-v2": _V2}
"""The features that each level of x86-64 needs, by the names that Linux has for them."""

_P, _I64, _I32, _F64 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_double
_SIGNATURES: dict[str, tuple[list[type], type | None]] = {
    "gm_stamp": ([], ctypes.c_uint64),
    "gm_hash_rows": ([_P, _I64, _I64, _P], None),
    "gm_keys_new": ([_I64], _P),
    "gm_keys_free": ([_P], None),
    "gm_keys_size": ([_P], _I64),
    "gm_keys_bytes": ([_P], _I64),
    "gm_keys_words": ([_P, _P, _P, _I64, _I64, _P, _P], _I64),
    "gm_keys_strings": ([_P, _P, _P, _I64, _P, _I64, _I64, _P, _P], _I64),
    "gm_keys_texts": ([_P, _P, _P], _I64),
    "gm_pack_codes": ([_P, _I64, _I64, _P], None),
    "gm_double_range": ([_P, _I64, _P], None),
    "gm_int_range": ([_P, _I64, _P], None),
    "gm_add_rows": ([_P, _I64, _P, _I64], None),
    "gm_totals_moved": ([_P, _I64, _I64, _I64, _I64, _P, _I64, _I64], None),
    "gm_totals_digits": ([_P, _I64, _I64, _I64, _I64, _P], None),
    "gm_tuple_codes": ([_P, _P, _I64, _I64, _P, _I64, _P, _P], _I64),
    "gm_number_codes": ([_P, _I64, _I64, _P, _I64, _P, _P], _I64),
    "gm_map_indexes": ([_P, _I64, _P, _I64, _I64, _P, _I64, _P], None),
    "gm_first_rows": ([_P, _I64, _P, _I64, _I64, _I64, _P], None),
    "gm_double_keys": ([_P, _I64, _P], None),
    "gm_key_doubles": ([_P, _I64], None),
    "gm_add_sizes": ([_P, _P, _I64, _P], None),
    "gm_gather": ([_P, _P, _I64, _P, _I64, _I64, _P, _P], None),
    "gm_sort_keys": ([_P, _P, _I64, _P], None),
    "gm_sort_counted": ([_P, _P, _I64, _P], None),
    "gm_distinct_least": ([_P, _P, _I64, _I64, _P], _I64),
    "gm_select": ([_P, _I64, _P, _I64, _P, _P, _P, _P, _P], None),
    "gm_take_first": ([_P, _P, _I64, _I64, _P, _I64], None),
    "gm_distinct": ([_P, _P, _I64], _I64),
    "gm_scaled": ([_P, _I64, _F64, _P], _I64),
    "gm_unscaled": ([_P, _I64, _F64, _P], None),
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
    "gm_windows": (
        [_P, _P, _I64, _I32, _I32, _I64, _P, _I64, _I64, _I64, _P, _P, _P, _P, _P, _P, _I64, _P],
        _I32,
    ),
    "gm_count": ([_P, _I64, _I32], _I64),
    "gm_prove": ([_P, _I64, _I32, _I32, _I32, _I32, _P], _I32),
    "gm_lines": (
        [_P, _I64, _P, _P, _I64, _I64, _P, _I64, _I64, _I64, _P, _I64, _P, _P, _P],
        _I32,
    ),
    "gm_int64": ([_P, _P], _I64),
    "gm_decimal": ([_P, _I32, _I32, _P], _I64),
    "gm_bool": ([_P, _P], _I64),
    "gm_float64": ([_P, _P], _I64),
    "gm_date": ([_P, _P], _I64),
    "gm_timestamp": ([_P, _I32, _P], _I64),
    "gm_page_headers": ([_P, _I64, _I64, _P], _I64),
    "gm_chunk_numbers": ([_P, _I64, _P, _P], _I64),
    "gm_chunk_texts": ([_P, _I64, _P, _P, _I64, _P], _I64),
    "gm_string_bytes": ([_P], _I64),
    "gm_strings": ([_P, _P, _P, _I64], _I64),
}
"""Function -> types of its arguments and of its result; pointers are addresses."""


def library() -> Library | None:
    """The library, or None where the Python functions do its work. Raises InternalError as `variant` does."""
    return _found().library


def variant() -> str | None:
    """The name of the variant in use, such as `x86-64-v3`; None: the Python functions are in use.

    Raises InternalError if GRISTMILL_NATIVE is `require` and no library can be used.
    """
    return _found().variant


def absence() -> str:
    """Why the Python functions are in use; empty if they are not."""
    return _found().absence


class _Found(NamedTuple):
    variant: str | None = None
    library: Library | None = None
    absence: str = ""


@cache
def _found() -> _Found:
    """The first library that loads and is of these sources."""
    asked = os.environ.get("GRISTMILL_NATIVE", "auto")
    if asked == "off":
        return _Found(absence="GRISTMILL_NATIVE is off")
    reasons = []
    for name in _variants():
        try:
            return _Found(name, _loaded(_path(name)))
        except (OSError, AttributeError, _OtherSources) as error:
            reasons.append(str(error))
    why = "; ".join(reasons) or f"there is none for {platform.machine()}"
    if asked == "require":
        raise InternalError(
            f"GRISTMILL_NATIVE is 'require', and the native library cannot be used: {why}. "
            "Install a C compiler and Gristmill anew, or set GRISTMILL_NATIVE to auto"
        )
    return _Found(absence=why)


class _OtherSources(Exception):
    pass


def _loaded(path: Path) -> Library:
    """Raises OSError, AttributeError or _OtherSources for a library that cannot be used."""
    if not path.exists():
        raise OSError(f"{path.name} was not built here")
    loaded = ctypes.CDLL(str(path))
    for name, (arguments, result) in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = arguments, result
    if loaded.gm_stamp() != stamp():
        raise _OtherSources(f"{path.name} was built from other sources")
    return loaded


def _variants() -> list[str]:
    """Those that this machine runs, the widest first."""
    if platform.machine() == "x86_64":
        return [name for name, needed in _LEVELS.items() if _cpu_flags() >= needed]
    return ["armv8"] if platform.machine() in {"aarch64", "arm64"} else []


def _cpu_flags() -> set[str]:
    """Those of x86-64-v2 where the system tells none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return _V2
    return {flag for line in text.splitlines() if line.startswith("flags") for flag in line.split()[2:]}


def _path(name: str) -> Path:
    return _HERE / f"libgristmill-{name}.so"
