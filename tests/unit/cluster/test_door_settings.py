"""Settings of the door that cannot work are refused at the start, with the variable's name."""

from typing import Any

import pytest
from pydantic import ValidationError

from cluster.settings import ApiSettings, OidcSettings, Settings
from cluster.settings.door import is_private_channel

COMPLETE: dict[str, Any] = {
    "issuer": "https://id.example.org",
    "client_id": "rayscribe",
    "redirect_uri": "https://api.example.org/api/auth/oidc/callback",
}


def test_a_provider_is_complete_or_not_there():
    assert OidcSettings(**COMPLETE).issuer == "https://id.example.org"
    assert not OidcSettings().issuer
    # As Compose files have it.
    assert not OidcSettings(issuer="").issuer


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"client_id": ""}, "RAYSCRIBE_OIDC_CLIENT_ID"),
        ({"redirect_uri": ""}, "RAYSCRIBE_OIDC_REDIRECT_URI"),
        ({"scopes": "email"}, "RAYSCRIBE_OIDC_SCOPES"),
        ({"admin_claim": "groups"}, "RAYSCRIBE_OIDC_ADMIN_VALUE"),
        ({"issuer": "http://id.example.org"}, "RAYSCRIBE_OIDC_ISSUER"),
        ({"issuer": "id.example.org"}, "RAYSCRIBE_OIDC_ISSUER"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused(change, named):
    with pytest.raises(ValidationError, match=named):
        OidcSettings(**{**COMPLETE, **change})


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://id.example.org", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost", True),
        ("http://[::1]:1", True),
        ("http://127.0.0.1.example.org", False),
        ("http://localhost@evil.example", False),
        ("https://", False),
        ("ftp://localhost", False),
        ("javascript:alert(1)", False),
    ],
)
def test_only_this_machine_goes_without_tls(url, private):
    assert is_private_channel(url) is private


def test_proxies_are_addresses_or_networks():
    assert ApiSettings(trusted_proxies="10.0.0.0/8, 192.0.2.1,2001:db8::/32").trusted_proxies
    for wrong in ("*", "proxy.local", "10.0.0.1/8", "127.0.0.1;10.0.0.1"):
        with pytest.raises(ValidationError, match="trusted_proxies"):
            ApiSettings(trusted_proxies=wrong)


def test_a_lock_is_not_longer_than_the_attempts_that_it_is_counted_from_are_kept(monkeypatch):
    monkeypatch.setenv("RAYSCRIBE_MAINTENANCE_SIGN_IN_RETENTION_DAYS", "2")
    monkeypatch.setenv("RAYSCRIBE_MAX_LOCKOUT_MINUTES", "2880")
    assert Settings().auth.max_lockout_minutes == 2880
    monkeypatch.setenv("RAYSCRIBE_MAX_LOCKOUT_MINUTES", "2881")
    with pytest.raises(ValueError, match="RAYSCRIBE_MAINTENANCE_SIGN_IN_RETENTION_DAYS"):
        Settings()
