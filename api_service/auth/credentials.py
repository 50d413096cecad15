"""API keys as text, and where a request comes from. Pure."""

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from api_service.auth.forwarded import Client
from shared.errors import CrossSiteRequest, Unauthorized

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,512}=*")
_OWN_SITE = frozenset({None, "same-origin", "none"})


def new_key() -> str:
    """`gm_` and 256 random bits: too many to guess, so that a plain SHA-256 of them is safe to store."""
    return "gm_" + secrets.token_urlsafe(32)


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def bearer(authorization: Sequence[str]) -> str:
    """The key in the `Authorization` headers; raises Unauthorized."""
    if not authorization:
        raise Unauthorized("This gateway wants an API key: send the header Authorization: Bearer gm_…")
    scheme, _, token = authorization[0].partition(" ")
    if len(authorization) > 1 or scheme.lower() != "bearer" or not _TOKEN.fullmatch(token.strip()):
        raise Unauthorized("The Authorization header is not of the form: Bearer gm_…")
    return token.strip()


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_own_machine(client: Client) -> None:
    """Raise Unauthorized for a request that a trusted proxy has passed on from another machine."""
    if client.by_proxy and not is_loopback(client.address):
        raise Unauthorized(
            f"A proxy passes on a request of {client.address}, but without API keys this gateway answers its "
            "own machine only; make a key with `gristmill server keys add NAME`"
        )


def check_own_site(method: str, headers: Mapping[str, str], bound: str) -> None:
    """Raise CrossSiteRequest for a request that a web page in the user's browser could have sent.

    *bound* is the address that the gateway listens on. A gateway without keys trusts all clients on this
    machine, and a browser is one of them. A `Host` that is not loopback means that the page's own name was
    made to point here (DNS rebinding). The browser sets `Origin` and `Sec-Fetch-Site`; no page can change
    them.
    """
    host = headers.get("Host", "")
    name = _hostname(host)
    if not is_loopback(name) and name != bound.lower():
        raise CrossSiteRequest(
            f"Host is {host[:100]!r}, but without API keys this gateway answers under loopback names only; "
            "call http://127.0.0.1 or make a key"
        )
    if method in SAFE_METHODS:
        return
    origin = headers.get("Origin")
    if headers.get("Sec-Fetch-Site") not in _OWN_SITE or (
        origin is not None and _authority(origin) != host.lower()
    ):
        raise CrossSiteRequest(
            "This request was made by a web page of another site, and without API keys such requests change "
            "nothing here"
        )


@lru_cache(maxsize=256)
def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _authority(origin: str) -> str:
    """The host and port of an Origin; empty for `null` and for all that is no origin."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
