"""How much of the gateway one client may take."""

import pytest

from api_service.shares import Shares, one_client
from shared.errors import TooManyConnections


def test_each_address_has_its_share_and_gives_it_back():
    shares = Shares(2)
    for _ in range(2):
        shares.take("10.0.0.1")
    assert shares.is_full("10.0.0.1")
    assert not shares.is_full("10.0.0.2")
    shares.give_back("10.0.0.1")
    with shares.one("10.0.0.1"):
        with pytest.raises(TooManyConnections, match=r"10\.0\.0\.1 has 2 requests"), shares.one("10.0.0.1"):
            pass
        assert shares.is_full("10.0.0.1")
    assert not shares.is_full("10.0.0.1")


def test_an_ipv6_client_is_its_network():
    assert one_client("2001:db8:1:2:3:4:5:6") == one_client("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert one_client("2001:db8:1:3::9") != one_client("2001:db8:1:2::9")
    assert one_client("fe80::1") == "fe80::/64"
    assert [one_client(each) for each in ("10.0.0.1", "unknown")] == ["10.0.0.1", "unknown"]
