"""The address of a service and the form in which requests are sent, for both clients."""

import os
import ssl
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.request import getproxies

import httpx2

from gristmill.client.steps import Request

DEFAULT_URL = "http://127.0.0.1:8080"
CONNECT_SECONDS = 10.0
WRITE_SECONDS = 60.0


def settings(url: str | None, api_key: str | None) -> dict[str, Any]:
    """The arguments of httpx2's clients, given or from GRISTMILL_URL and GRISTMILL_API_KEY."""
    url = (url or os.environ.get("GRISTMILL_URL") or DEFAULT_URL).rstrip("/")
    key = os.environ.get("GRISTMILL_API_KEY") if api_key is None else api_key
    if "://" not in url:
        raise ValueError(f"the URL {url!r} has no scheme: write http://{url}")
    headers = {"User-Agent": f"gristmill-python/{_version()}"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return {"base_url": url, "headers": headers, "verify": _certificates(url)}


def _certificates(url: str) -> ssl.SSLContext | bool:
    """Plain HTTP needs no authorities, and to load them takes longer than a request."""
    return True if url.startswith("https:") or getproxies() else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _version() -> str:
    try:
        return version("gristmill")
    except PackageNotFoundError:  # a copy of the folder
        return "unknown"


def built(http: httpx2.Client | httpx2.AsyncClient, request: Request, body: Any) -> httpx2.Request:
    """*body* is the blocks of the request in the form that this client sends."""
    seconds = httpx2.Timeout(
        connect=CONNECT_SECONDS, read=request.read_seconds, write=WRITE_SECONDS, pool=request.read_seconds
    )
    return http.build_request(
        request.method,
        request.path,
        params=list(request.query) or None,
        headers=dict(request.headers),
        json=request.json,
        content=body,
        timeout=seconds,
    )


class Addressed:
    """A client that tells its service."""

    def __init__(self, url: httpx2.URL) -> None:
        self._url = url

    @property
    def url(self) -> str:
        """The address of the service, without a password."""
        return str(self._url.copy_with(username=None, password=None)).rstrip("/")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"
