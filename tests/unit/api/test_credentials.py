"""API keys as text, where a request comes from, and how long an answer about a key is believed."""

import hashlib

import pytest
from pydantic import SecretStr

from api_service.auth.authenticator import CACHE_SECONDS, Authenticator
from api_service.auth.credentials import bearer, check_own_site, digest, new_key
from shared.errors import CrossSiteRequest, Unauthorized


def test_a_key_has_256_random_bits_and_its_digest_is_the_sha256_of_all_of_it():
    keys = {new_key() for _ in range(100)}

    assert len(keys) == 100
    assert all(key.startswith("gm_") and len(key) == 3 + 43 for key in keys)
    assert digest("gm_abc") == hashlib.sha256(b"gm_abc").digest()


@pytest.mark.parametrize("headers", [["Bearer gm_a-b_c"], ["bearer gm_a-b_c"], ["BEARER  gm_a-b_c"]])
def test_the_scheme_is_read_in_any_case(headers):
    assert bearer(headers) == "gm_a-b_c"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        ["gm_abc"],
        ["Basic gm_abc"],
        ["Bearer a b"],
        ["Bearer é"],
        ["Bearer " + "a" * 600],
        ["Bearer a", "Bearer a"],
    ],
)
def test_a_header_that_holds_no_key_is_unauthorized(headers):
    with pytest.raises(Unauthorized):
        bearer(headers)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "127.8.8.8", "gristmill.test:1"]
)
def test_requests_under_the_names_of_loopback_and_the_bound_address_pass(host):
    check_own_site("POST", {"Host": host}, "gristmill.test")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "[::1",
        "0.0.0.0",
    ],
)
def test_another_name_is_refused_whatever_the_method(host, method):
    with pytest.raises(CrossSiteRequest):
        check_own_site(method, {"Host": host}, "127.0.0.1")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ],
)
def test_a_page_of_another_site_may_read_nothing_but_changes_nothing_either(headers):
    sent = {"Host": "127.0.0.1:8080"} | headers
    for method in ("POST", "DELETE", "PUT"):
        with pytest.raises(CrossSiteRequest):
            check_own_site(method, sent, "127.0.0.1")
    check_own_site("GET", sent, "127.0.0.1")


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8080"}],
)
def test_programs_and_the_gateways_own_pages_may_change_things(headers):
    check_own_site("POST", {"Host": "127.0.0.1:8080"} | headers, "127.0.0.1")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Keys:
    """Stands in for the table: digest -> tenant; counts its questions."""

    def __init__(self, **tenants: str) -> None:
        self.tenants = {hashlib.sha256(key.encode()).digest(): tenant for key, tenant in tenants.items()}
        self.asked = 0

    async def any(self) -> bool:
        self.asked += 1
        return bool(self.tenants)

    async def use(self, sha256: bytes) -> str | None:
        self.asked += 1
        return self.tenants.get(sha256)


async def test_a_key_is_looked_up_once_in_thirty_seconds_and_a_revoked_one_ends_then():
    keys, clock = Keys(gm_a="team"), Clock()
    authenticator = Authenticator(keys, None, demand=False, clock=clock)

    assert [await authenticator.tenant("gm_a") for _ in range(5)] == ["team"] * 5
    assert keys.asked == 1
    keys.tenants.clear()
    clock.now += CACHE_SECONDS - 0.1
    assert await authenticator.tenant("gm_a") == "team"
    clock.now += 0.1
    with pytest.raises(Unauthorized):
        await authenticator.tenant("gm_a")


async def test_guesses_are_not_remembered():
    authenticator = Authenticator(Keys(gm_a="team"), None, demand=False)
    for guess in range(100):
        with pytest.raises(Unauthorized):
            await authenticator.tenant(f"gm_{guess}")

    assert authenticator._known == {}


async def test_an_open_gateway_notices_the_first_key_within_thirty_seconds_and_stays_closed():
    keys, clock = Keys(), Clock()
    authenticator = Authenticator(keys, None, demand=False, clock=clock)

    assert [await authenticator.needs_key() for _ in range(5)] == [False] * 5
    assert keys.asked == 1
    keys.tenants[b"x"] = "team"
    clock.now += CACHE_SECONDS
    assert await authenticator.needs_key()
    keys.tenants.clear()
    clock.now += 10 * CACHE_SECONDS
    assert await authenticator.needs_key()


async def test_a_gateway_that_others_reach_wants_a_key_even_while_there_is_none():
    assert await Authenticator(Keys(), None, demand=True).needs_key()


async def test_the_key_of_the_settings_opens_the_default_tenant_without_the_database():
    keys = Keys(gm_other="team")
    authenticator = Authenticator(keys, SecretStr("s" * 32), demand=False)

    assert await authenticator.needs_key()
    assert await authenticator.tenant("s" * 32) == "default"
    assert keys.asked == 0
    assert await authenticator.tenant("gm_other") == "team"
    with pytest.raises(Unauthorized):
        await authenticator.tenant("s" * 31)
