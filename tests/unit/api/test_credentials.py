"""API keys as text, where a request comes from, and how long an answer about a key is believed."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from api_service.auth.authenticator import CACHE_SECONDS, Authenticator
from api_service.auth.credentials import bearer, check_own_site, digest, new_key
from shared.core.entities import ApiKey
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


def a_key(tenant: str, **fields) -> ApiKey:
    values = {
        "id": "key_1",
        "tenant": tenant,
        "name": "",
        "scopes": ("admin",),
        "job": None,
        "parents": (),
        "created_at": datetime.now(UTC),
        "expires_at": None,
        "last_used_at": None,
        "revoked_at": None,
    }
    return ApiKey(**values | fields)


class Keys:
    """Stands in for the table: digest -> key and the time it has left; counts its questions."""

    def __init__(self, **tenants: str) -> None:
        self.rows = {
            hashlib.sha256(text.encode()).digest(): (a_key(of), None) for text, of in tenants.items()
        }
        self.asked = 0

    async def any(self) -> bool:
        self.asked += 1
        return bool(self.rows)

    async def use(self, sha256: bytes) -> tuple[ApiKey, timedelta | None] | None:
        self.asked += 1
        return self.rows.get(sha256)


async def tenant_of(authenticator: Authenticator, key: str) -> str:
    return (await authenticator.caller(key)).tenant


async def test_a_key_is_looked_up_once_in_thirty_seconds_and_a_revoked_one_ends_then():
    keys, clock = Keys(gm_a="team"), Clock()
    authenticator = Authenticator(keys, None, demand=False, clock=clock)

    assert [await tenant_of(authenticator, "gm_a") for _ in range(5)] == ["team"] * 5
    assert keys.asked == 1
    keys.rows.clear()
    clock.now += CACHE_SECONDS - 0.1
    assert await tenant_of(authenticator, "gm_a") == "team"
    clock.now += 0.1
    with pytest.raises(Unauthorized):
        await tenant_of(authenticator, "gm_a")


async def test_guesses_are_not_remembered():
    authenticator = Authenticator(Keys(gm_a="team"), None, demand=False)
    for guess in range(100):
        with pytest.raises(Unauthorized):
            await tenant_of(authenticator, f"gm_{guess}")

    assert authenticator._known == {}


async def test_an_open_gateway_notices_the_first_key_within_thirty_seconds_and_stays_closed():
    keys, clock = Keys(), Clock()
    authenticator = Authenticator(keys, None, demand=False, clock=clock)

    assert [await authenticator.needs_key() for _ in range(5)] == [False] * 5
    assert keys.asked == 1
    keys.rows[b"x"] = a_key("team"), None
    clock.now += CACHE_SECONDS
    assert await authenticator.needs_key()
    keys.rows.clear()
    clock.now += 10 * CACHE_SECONDS
    assert await authenticator.needs_key()


async def test_a_gateway_that_others_reach_wants_a_key_even_while_there_is_none():
    assert await Authenticator(Keys(), None, demand=True).needs_key()


async def test_the_key_of_the_settings_opens_the_default_tenant_without_the_database():
    keys = Keys(gm_other="team")
    authenticator = Authenticator(keys, SecretStr("s" * 32), demand=False)

    assert await authenticator.needs_key()
    assert await tenant_of(authenticator, "s" * 32) == "default"
    assert keys.asked == 0
    assert await tenant_of(authenticator, "gm_other") == "team"
    with pytest.raises(Unauthorized):
        await tenant_of(authenticator, "s" * 31)


async def test_a_key_that_ends_by_itself_is_believed_no_longer_than_it_lasts():
    keys, clock = Keys(gm_a="team"), Clock()
    [digest_of_it] = keys.rows
    keys.rows[digest_of_it] = a_key("team"), timedelta(seconds=7)
    authenticator = Authenticator(keys, None, demand=True, clock=clock)

    assert await tenant_of(authenticator, "gm_a") == "team"
    keys.rows.clear()
    clock.now += 6.9
    assert await tenant_of(authenticator, "gm_a") == "team"
    clock.now += 0.1
    with pytest.raises(Unauthorized):
        await authenticator.caller("gm_a")


async def test_a_key_that_is_forgotten_takes_those_that_it_made_along():
    keys = Keys(gm_a="team", gm_b="team", gm_c="team")
    for digest_of_it, (name, parents) in zip(
        keys.rows, {"key_a": (), "key_b": ("key_a",), "key_c": ()}.items(), strict=True
    ):
        keys.rows[digest_of_it] = a_key("team", id=name, parents=parents), None
    authenticator = Authenticator(keys, None, demand=True)
    for key in ("gm_a", "gm_b", "gm_c"):
        await authenticator.caller(key)
    keys.rows.clear()
    authenticator.forget("key_a")

    for key in ("gm_a", "gm_b"):
        with pytest.raises(Unauthorized):
            await authenticator.caller(key)
    assert await tenant_of(authenticator, "gm_c") == "team"


async def test_an_answer_about_a_key_that_is_revoked_meanwhile_is_not_remembered(monkeypatch):
    keys = Keys(gm_a="team")
    authenticator = Authenticator(keys, None, demand=True)
    ask = keys.use

    async def use(sha256):
        found = await ask(sha256)
        keys.rows.clear()
        authenticator.forget("key_1")
        return found

    monkeypatch.setattr(keys, "use", use)
    await authenticator.caller("gm_a")

    with pytest.raises(Unauthorized):
        await authenticator.caller("gm_a")


async def test_many_keys_take_bounded_memory(monkeypatch):
    monkeypatch.setattr("api_service.auth.authenticator.MAX_KNOWN", 10)
    authenticator = Authenticator(Keys(**{f"gm_{no}": "team" for no in range(25)}), None, demand=True)
    for no in range(25):
        await authenticator.caller(f"gm_{no}")
        assert len(authenticator._known) <= 10


async def test_keys_are_compared_as_digests_of_one_length_in_constant_time(monkeypatch):
    """So neither the time nor the database tells how much of a guess is right."""
    compared, looked_up = [], []
    keys = Keys()

    async def use(sha256):
        looked_up.append(sha256)

    def compare(one, other):
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(keys, "use", use)
    monkeypatch.setattr("api_service.auth.authenticator.hmac.compare_digest", compare)
    authenticator = Authenticator(keys, SecretStr("s" * 32), demand=False)
    for guess in ("s", "s" * 31, "s" * 33, "x" * 32):
        with pytest.raises(Unauthorized):
            await authenticator.caller(guess)
    await authenticator.caller("s" * 32)

    assert len(compared) == 5
    assert {len(each) for pair in compared for each in pair} == {32}
    assert {len(each) for each in looked_up} == {32}
