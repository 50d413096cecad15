"""Origins, URLs and networks of the settings: spelled as they are compared, or refused with a remedy."""

import pytest
from pydantic import ValidationError

from shared.addresses import network, origin, public_url
from shared.settings import Settings

NEEDED = {"database_url": "postgresql://x/x", "redis_url": "redis://x"}


@pytest.mark.parametrize(
    "text",
    [
        "https://app.example.com",
        "http://localhost:3000",
        "http://[::1]:5173",
        "https://xn--bcher-kva.example",
    ],
)
def test_an_origin_as_browsers_send_it_is_taken(text):
    assert origin(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("*", "any site"),
        ("https://*.example.com", "any site"),
        ("https://app.example.com/", "write https://app.example.com$"),
        ("https://app.example.com/page", "write https://app.example.com$"),
        ("HTTPS://App.Example.com", "write https://app.example.com$"),
        ("https://app.example.com:443", "write https://app.example.com$"),
        ("http://a:80", "write http://a$"),
        ("app.example.com", "such as https://"),
        ("null", "such as https://"),
        ("ftp://a", "such as https://"),
        ("https://user@a", "such as https://"),
        ("https://bücher.example", "xn--"),
        ("https://a b", "such as https://"),
        ("https://a:99999", "such as https://"),
        ("https://[::1", "such as https://"),
    ],
)
def test_another_spelling_is_refused_with_the_right_one(text, said):
    with pytest.raises(ValueError, match=said):
        origin(text)


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("https://a.example/", "https://a.example"),
        ("https://a.example", "https://a.example"),
        ("http://a.example:8443/x/y/", "http://a.example:8443/x/y"),
    ],
)
def test_a_public_url_has_no_last_slash(text, base):
    assert public_url(text) == base


@pytest.mark.parametrize(
    "text", ["/gristmill", "https://", "https://a?b", "https://a#", "ftp://a", "https://u:p@a"]
)
def test_what_no_path_can_follow_is_no_public_url(text):
    with pytest.raises(ValueError):
        public_url(text)


def test_networks_have_no_host_bits():
    assert str(network("127.0.0.1")) == "127.0.0.1/32"
    for text in ("10.0.0.1/8", "localhost", "10.0.0.0/99"):
        with pytest.raises(ValueError, match=r"10\.0\.0\.0/8"):
            network(text)


def test_settings_are_lists_with_commas(monkeypatch):
    monkeypatch.setenv("GRISTMILL_CORS_ORIGINS", "https://a.example, http://localhost:3000")
    monkeypatch.setenv("GRISTMILL_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8")
    monkeypatch.setenv("GRISTMILL_PUBLIC_URL", "https://a.example/gristmill/")
    settings = Settings(**NEEDED)

    assert settings.cors_origins == ["https://a.example", "http://localhost:3000"]
    assert [*map(str, settings.trusted_proxies)] == ["127.0.0.1/32", "10.0.0.0/8"]
    assert settings.public_url == "https://a.example/gristmill"
    assert Settings(**settings.model_dump()) == settings


def test_every_origin_is_refused_as_a_setting(monkeypatch):
    monkeypatch.setenv("GRISTMILL_CORS_ORIGINS", "*")
    with pytest.raises(ValidationError, match="list each origin"):
        Settings(**NEEDED)


@pytest.mark.parametrize(
    "text", ["redis://:secret@10.0.0.1:6379/0", "rediss://x?ssl_ca_certs=/a", "unix:///a"]
)
def test_a_url_of_redis_is_taken_as_it_is(text):
    assert Settings(**(NEEDED | {"redis_url": text})).redis_url == text


@pytest.mark.parametrize(
    "text", ["127.0.0.1:6379", "http://x:secret", "secret", "redis://:secret@x:none", ""]
)
def test_another_url_is_refused_at_the_start_without_being_shown(text):
    with pytest.raises(ValidationError) as refused:
        Settings(**(NEEDED | {"redis_url": text}))
    assert "secret" not in str(refused.value)
    assert "URL" in str(refused.value)
