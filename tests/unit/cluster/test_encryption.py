"""What is encrypted can be read with its key, for its row, and in no other way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from cluster.encryption import VERSION, Encryption, Undecryptable
from cluster.settings import AuthSettings

SECRET = "a secret that is longer than thirty-two bytes"
ROW = "7f9c3f0e-5d0f-4a3e-9c1b-2f6d0f8f3a11"
OTHER_ROW = "7f9c3f0e-5d0f-4a3e-9c1b-2f6d0f8f3a12"
KEY = "sk-test-4711"


def box(secret_key: str | None = SECRET, encryption_key: str | None = None) -> Encryption:
    def secret(text: str | None) -> SecretStr | None:
        return SecretStr(text) if text is not None else None

    return Encryption(
        AuthSettings(secret_key=secret(secret_key), encryption_key=secret(encryption_key))
    )


BOX = box()


@given(st.text(), st.text())
def test_what_goes_in_comes_out(text: str, bound_to: str) -> None:
    sealed = BOX.encrypt(text, bound_to)
    assert BOX.decrypt(sealed, bound_to) == text
    assert sealed.isascii()


@given(st.text(min_size=1), st.data())
def test_whatever_is_changed_in_it_makes_it_unreadable(text: str, data: st.DataObject) -> None:
    sealed = BOX.encrypt(text, ROW)
    position = data.draw(st.integers(0, len(sealed) - 1))
    letter = data.draw(st.characters(codec="ascii").filter(lambda one: one != sealed[position]))
    changed = sealed[:position] + letter + sealed[position + 1 :]
    # The last letter of base64 has bits that mean nothing: all but the text itself is refused.
    try:
        assert BOX.decrypt(changed, ROW) == text
    except Undecryptable:
        return
    assert position >= len(sealed.rstrip("=")) - 1


@given(st.text())
def test_what_was_never_encrypted_is_refused(text: str) -> None:
    with pytest.raises(Undecryptable):
        BOX.decrypt(text, ROW)
    with pytest.raises(Undecryptable):
        BOX.decrypt(f"{VERSION}.{text}", ROW)


def test_twice_the_same_text_does_not_look_the_same() -> None:
    assert BOX.encrypt(KEY, ROW) != BOX.encrypt(KEY, ROW)


def test_the_text_cannot_be_seen_in_it() -> None:
    sealed = BOX.encrypt(KEY, ROW)
    assert KEY not in sealed
    assert sealed.startswith(f"{VERSION}.")


def test_copied_into_another_row_it_cannot_be_read() -> None:
    with pytest.raises(Undecryptable):
        BOX.decrypt(BOX.encrypt(KEY, ROW), OTHER_ROW)


def test_with_another_key_it_cannot_be_read_and_says_what_it_can_be() -> None:
    sealed = BOX.encrypt(KEY, ROW)
    with pytest.raises(Undecryptable, match="SECRET_KEY changed"):
        box("another secret that is longer than thirty-two").decrypt(sealed, ROW)


def test_a_key_of_its_own_survives_another_secret_key() -> None:
    own = "of its own, and longer than thirty-two bytes"
    sealed = box(encryption_key=own).encrypt(KEY, ROW)
    changed = box("another secret that is longer than thirty-two", own)
    assert changed.decrypt(sealed, ROW) == KEY
    with pytest.raises(Undecryptable):
        BOX.decrypt(sealed, ROW)


@pytest.mark.parametrize(
    ("secret_key", "encryption_key", "named"),
    [
        (None, None, "SECRET_KEY"),
        ("short", None, "SECRET_KEY"),
        (SECRET, "short", "ENCRYPTION_KEY"),
    ],
)
def test_a_key_that_is_too_short_is_refused_at_the_start(
    secret_key: str | None, encryption_key: str | None, named: str
) -> None:
    with pytest.raises(ValueError, match=f"^{named} is not set or shorter"):
        box(secret_key, encryption_key)


def test_nothing_of_it_is_in_its_representation() -> None:
    assert SECRET not in repr(BOX)
    assert SECRET not in repr(vars(BOX))
