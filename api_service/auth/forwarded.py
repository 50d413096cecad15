"""From which client a request comes, when a proxy has passed it on. Pure."""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from multidict import MultiMapping

from shared.addresses import Network

UNKNOWN = "unknown"
"""The address of a client that the proxies do not tell, or not alike: certainly not one of this machine."""
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_PAIR = re.compile(r'(?:^|;)\s*([A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^;,\s"]*))')
_ADDRESS = re.compile(r"\[([^\]]*)\](?::[0-9]+)?|([0-9.]+)(?::[0-9]+)?|([0-9A-Fa-f:.]+)")
_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Client:
    """`address` is an IP address or UNKNOWN. `by_proxy`: a trusted proxy told it, and the `scheme`."""

    address: str
    scheme: str = "http"
    by_proxy: bool = False


def client_of(peer: str, headers: MultiMapping[str], trusted: Sequence[Network]) -> Client:
    """The client of a request that *peer* has sent.

    The headers count only if *peer* is trusted. The client is then the last address that is not a trusted
    proxy. Each proxy adds the address that it sees, so a client cannot choose that one. Where
    `X-Forwarded-For` and `Forwarded` name two clients, one of them is made up, and the client is UNKNOWN.
    """
    if not is_trusted(peer, trusted):
        return Client(peer)
    elements = [
        {name.lower(): quoted or plain for name, quoted, plain in _PAIR.findall(element)}
        for element in _ELEMENT.findall(",".join(headers.getall("Forwarded", [])))
    ]
    told = {
        _nearest(chain, trusted)
        for chain in (
            list(_listed(headers, "X-Forwarded-For")),
            [element.get("for", "") for element in elements],
        )
        if chain
    }
    if not told:
        return Client(peer)
    schemes = [*_listed(headers, "X-Forwarded-Proto"), *(e["proto"] for e in elements[-1:] if "proto" in e)]
    address = told.pop() if len(told) == 1 else UNKNOWN
    return Client(address, "https" if schemes[-1:] == ["https"] else "http", by_proxy=True)


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    return bool(trusted) and _is_trusted(_ip(peer), trusted)


def _nearest(chain: Iterable[str], trusted: Sequence[Network]) -> str:
    """The last address that is not trusted; the first one, if all are."""
    nearest = UNKNOWN
    for text in reversed([*chain]):
        ip = _ip(text)
        nearest = UNKNOWN if ip is None else str(ip)
        if not _is_trusted(ip, trusted):
            break
    return nearest


def _listed(headers: MultiMapping[str], name: str) -> Iterator[str]:
    yield from (
        entry.strip() for value in headers.getall(name, []) for entry in value.split(",") if entry.strip()
    )


def _ip(text: str) -> _Ip | None:
    """An address without its port; one of IPv4 also when it is written as one of IPv6."""
    found = _ADDRESS.fullmatch(text.strip())
    try:
        ip = ipaddress.ip_address(next(filter(None, found.groups()))) if found else None
    except (ValueError, StopIteration):
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def _is_trusted(ip: _Ip | None, trusted: Sequence[Network]) -> bool:
    return ip is not None and any(ip in network for network in trusted)
