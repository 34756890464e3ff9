"""Which passwords are taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.common_passwords import COMMON
from api.errors import ApiError
from api.password_policy import refusal, require_good

EMAIL = "ada.lovelace@example.org"


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("short", "too_short"),
        ("x" * 40, "too_simple"),
        ("abababababab", "too_simple"),
        ("ab1cab1cab1c", "too_simple"),
        ("1234567890", "too_simple"),
        ("0987654321", "too_simple"),
        ("QWERTYUIOP", "too_simple"),
        ("poiuytrewq", "too_simple"),
        ("1qaz2wsx3edc", "too_simple"),
        ("password123", "too_common"),
        ("P@ssw0rd2025!", "too_common"),
        ("!!!Password!!!", "too_common"),
        ("Welcome2024!", "too_common"),
        ("iloveyou99999", "too_common"),
        ("dragondragon", "too_common"),
        ("correcthorsebatterystaple", "too_common"),
        ("Rayscribe2026", "too_common"),
        ("ada.lovelace1815", "contains_name"),
        ("I am Ada.Lovelace", "contains_name"),
    ],
)
def test_what_is_guessed_first_is_refused(password, word):
    assert refusal(password, 10, EMAIL)[1] == word


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "staple of wrong donkeys",
        "ein langer satz ohne ziffern",
        "пароль который никто не знает",
        "kq8#Vd2!mZ",
        "password of my grandmother",
    ],
)
def test_others_are_taken_whatever_they_are_made_of(password):
    assert refusal(password, 10, EMAIL) is None


def test_a_short_name_may_stand_in_it():
    assert refusal("bodacious giraffes", 10, "bo@example.org") is None


def test_the_refusal_points_at_the_field():
    with pytest.raises(ApiError) as raised:
        require_good("short", 10, EMAIL, "#/new_password")
    [problem] = raised.value.members["errors"]
    assert problem["pointer"] == "#/new_password"
    assert "short" not in problem["detail"]


@given(st.text(max_size=1024), st.text(max_size=255))
def test_any_text_is_judged(password, email):
    found = refusal(password, 10, email)
    if found is None:
        assert len(password) >= 10
        assert password.casefold() not in COMMON


WORDS = sorted(word for word in COMMON if not word.isdecimal())


@given(st.sampled_from(WORDS), st.text(alphabet="0123456789!?.-", max_size=8))
def test_decoration_makes_no_common_one_good(word, decoration):
    assert refusal(word + decoration, 1, EMAIL) is not None
    assert refusal(decoration + word.upper(), 1, EMAIL) is not None
