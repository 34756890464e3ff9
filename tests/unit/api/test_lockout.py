"""How long an account is locked, and how callers are told apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from api.callers import Caller, address_of, caller_of
from api.lockout import email_key, locked_seconds, remaining_seconds, tries_left
from cluster.settings import AuthSettings
from db.queries.sign_in_attempts import Standing

SETTINGS = AuthSettings()


@pytest.mark.parametrize(
    ("failures", "minutes"),
    [(0, 0), (4, 0), (5, 15), (6, 30), (7, 60), (8, 120), (11, 960), (12, 1440), (10_000, 1440)],
)
def test_each_further_failure_doubles_the_lock_up_to_a_day(failures, minutes):
    assert locked_seconds(failures, SETTINGS) == 60 * minutes


counts = st.integers(0, 50)


@given(counts, st.floats(0, 10**5))
def test_waiting_as_long_as_told_opens_the_account(failures, since):
    remaining = remaining_seconds(Standing(failures, 0, since), SETTINGS)
    later = since + max(0.0, remaining)
    assert remaining_seconds(Standing(failures, 0, later), SETTINGS) <= 1e-6


@given(counts, counts)
def test_never_more_tries_at_once_than_would_lock(failures, pending):
    left = tries_left(Standing(failures, pending, 0), SETTINGS)
    assert left == 1 or failures + left == SETTINGS.lockout_failures


def test_an_address_is_one_whatever_its_case():
    assert email_key(" Ada@Example.org") == email_key("ada@example.ORG ")
    assert email_key("ada@example.org") != email_key("eda@example.org")


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("unknown", ""),
        ("", ""),
        ("x" * 5000, ""),
        ("1.2.3.4, 5.6.7.8", ""),
        ("\0", ""),
    ],
)
def test_an_address_has_one_spelling(host, address):
    assert address_of(host) == address


def test_the_customers_of_ipv6_are_counted_not_their_addresses():
    one, other = Caller("2001:db8:1:2::1"), Caller("2001:db8:1:2:ffff::9")
    assert one.household == other.household == "2001:db8:1:2::/64"
    assert Caller("2001:db8:1:3::1").household != one.household
    assert Caller("192.0.2.1").household == "192.0.2.1"
    assert Caller("").household == ""


@given(st.ip_addresses())
def test_every_address_fits_its_column(address):
    caller = Caller(address_of(str(address)))
    assert 0 < len(caller.address) <= 45
    assert len(caller.household) <= 45


def test_what_a_program_calls_itself_is_made_harmless():
    agent = b"curl/8\x1b[31m\xe9\x85" + b"x" * 500
    scope = {"type": "http", "headers": [(b"user-agent", agent)], "client": ("192.0.2.1", 1)}
    caller = caller_of(HTTPConnection(scope))
    assert caller.user_agent.startswith("curl/8[31mé")
    assert len(caller.user_agent) <= 255
    assert caller.user_agent.isprintable()
