"""The settings that are URLs, origins and networks: each is checked when a process starts."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PORTS = {"http": 80, "https": 443}


def origin(text: str) -> str:
    """An origin spelled as browsers send it. Raises ValueError, with that spelling where there is one."""
    if "*" in text:
        raise ValueError(
            f"{text!r} would let pages of any site read with their users' keys; list each origin, "
            "such as https://app.example.com"
        )
    parts = _split(text, "an origin such as https://app.example.com")
    if (spelled := _spelled(parts)) != text:
        raise ValueError(f"{text!r} is not spelled as browsers send it: write {spelled}")
    return text


def public_url(text: str) -> str:
    """A URL without a last slash, to which paths are added."""
    parts = _split(text, "a URL such as https://app.example.com/gristmill")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError(f"{text!r} has a query or a fragment; end it with the path")
    return text.rstrip("/")


def redis_url(text: str) -> str:
    """Raises ValueError without repeating the URL, which may hold a password."""
    parts = urlsplit(text)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("write a URL such as redis://127.0.0.1:6379/0, rediss://… with TLS, or unix:///…")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("the port of the URL is a number from 0 to 65535") from None
    return text


def network(text: str) -> Network:
    """An address or a network in CIDR notation."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}; write an address or a network, such as 10.0.0.0/8") from error


def _split(text: str, wanted: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        ok = parts.scheme in _PORTS and parts.hostname and not parts.username and parts.port != 0
    except ValueError:
        raise ValueError(f"{text!r} is not {wanted}") from None
    if not ok or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"{text!r} is not {wanted}; names in other scripts are written xn--…")
    return parts


def origin_of(url: str) -> str:
    """The origin of the pages of a URL, spelled as browsers send it."""
    return _spelled(urlsplit(url))


def _spelled(parts: SplitResult) -> str:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in {None, _PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
