"""A client is believed to be where trusted proxies say, and nowhere else."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from api_service.auth.credentials import check_own_machine
from api_service.auth.forwarded import UNKNOWN, Client, client_of
from shared.addresses import network
from shared.errors import Unauthorized

TRUSTED = [network("127.0.0.0/8"), network("10.0.0.0/8"), network("2001:db8:1::/48"), network("::1")]


def seen(peer: str, *headers: tuple[str, str], trusted=TRUSTED) -> Client:
    return client_of(peer, CIMultiDict(headers), trusted)


@pytest.mark.parametrize("trusted", [[], TRUSTED])
@pytest.mark.parametrize("peer", ["203.0.113.9", "2001:db8:2::1", "11.0.0.1", "", "fe80::1%eth0"])
def test_headers_of_a_peer_that_is_no_trusted_proxy_are_ignored(peer, trusted):
    told = [("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Proto", "https"), ("Forwarded", "for=127.0.0.1")]

    assert seen(peer, *told, trusted=trusted) == Client(peer)


def test_without_trusted_proxies_even_loopback_is_not_believed():
    assert seen("127.0.0.1", ("X-Forwarded-For", "1.2.3.4"), trusted=[]) == Client("127.0.0.1")


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ([("X-Forwarded-For", "203.0.113.9")], "203.0.113.9"),
        ([("X-Forwarded-For", "203.0.113.9, 10.1.2.3")], "203.0.113.9"),
        ([("X-Forwarded-For", "127.0.0.1, 203.0.113.9")], "203.0.113.9"),
        ([("X-Forwarded-For", "nonsense, 203.0.113.9, 10.0.0.1")], "203.0.113.9"),
        ([("X-Forwarded-For", "8.8.8.8"), ("X-Forwarded-For", "203.0.113.9")], "203.0.113.9"),
        ([("X-Forwarded-For", "10.0.0.7, 10.0.0.8")], "10.0.0.7"),
        ([("X-Forwarded-For", "203.0.113.9:4711")], "203.0.113.9"),
        ([("X-Forwarded-For", "[2001:db8:2::1]:4711")], "2001:db8:2::1"),
        ([("X-Forwarded-For", "::ffff:203.0.113.9")], "203.0.113.9"),
        ([("X-Forwarded-For", "203.0.113.9, ::ffff:10.0.0.1")], "203.0.113.9"),
        ([("X-Forwarded-For", "127.0.0.1, nonsense")], UNKNOWN),
        ([("X-Forwarded-For", "localhost")], UNKNOWN),
        ([("Forwarded", "for=203.0.113.9;proto=http")], "203.0.113.9"),
        ([("Forwarded", 'For="[2001:db8:2::1]:4711";by=10.0.0.1, for=10.0.0.2')], "2001:db8:2::1"),
        ([("Forwarded", 'for="1.2.3.4, for=127.0.0.1"')], UNKNOWN),
        ([("Forwarded", "for=127.0.0.1, for=_hidden")], UNKNOWN),
        ([("Forwarded", "for=127.0.0.1, proto=https")], UNKNOWN),
        ([("Forwarded", "for=203.0.113.9"), ("X-Forwarded-For", "203.0.113.9")], "203.0.113.9"),
        ([("Forwarded", "for=127.0.0.1"), ("X-Forwarded-For", "203.0.113.9")], UNKNOWN),
        ([("Forwarded", "for=203.0.113.9"), ("X-Forwarded-For", "127.0.0.1")], UNKNOWN),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxy(headers, address):
    client = seen("127.0.0.1", *headers)

    assert (client.address, client.by_proxy) == (address, True)


def test_a_request_that_names_no_client_comes_from_its_peer():
    assert seen("127.0.0.1", ("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "")) == Client("127.0.0.1")


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        ([], "http"),
        ([("X-Forwarded-Proto", "https")], "https"),
        ([("X-Forwarded-Proto", "https, http")], "http"),
        ([("X-Forwarded-Proto", "gopher")], "http"),
    ],
)
def test_the_scheme_is_the_one_that_the_last_proxy_saw(headers, scheme):
    assert seen("10.0.0.1", ("X-Forwarded-For", "203.0.113.9"), *headers).scheme == scheme
    if not headers:
        assert seen("10.0.0.1", ("Forwarded", "for=203.0.113.9;proto=https")).scheme == "https"


@given(st.lists(st.text(max_size=30), max_size=4), st.ip_addresses())
def test_a_client_cannot_make_up_its_address(forged, real):
    """Whatever it sends before the address that the proxy adds."""
    client = seen(
        "127.0.0.1", *(("X-Forwarded-For", text) for text in forged), ("X-Forwarded-For", str(real))
    )
    real = getattr(real, "ipv4_mapped", None) or real

    if not any(real in each for each in TRUSTED):
        assert client.address == str(real)


@given(st.text(max_size=60))
def test_no_text_is_an_error(text):
    for name in ("X-Forwarded-For", "Forwarded", "X-Forwarded-Proto"):
        address = seen("127.0.0.1", (name, text)).address
        assert address == UNKNOWN or ipaddress.ip_address(address)


@pytest.mark.parametrize("address", ["203.0.113.9", UNKNOWN, "::2"])
def test_without_keys_a_proxy_may_not_pass_on_requests_of_other_machines(address):
    with pytest.raises(Unauthorized, match=address):
        check_own_machine(Client(address, by_proxy=True))
    check_own_machine(Client(address))
    check_own_machine(Client("127.0.0.1", by_proxy=True))
