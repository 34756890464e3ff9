"""Which passwords are taken: long ones that nobody tries first (NIST SP 800-63B, 5.1.1.2).

No rules of composition: they make people choose `Password1!`. A password is refused where it is
short, known to be common, a repetition or a sequence, or made of the account's own address.
"""

import re

from api.common_passwords import COMMON
from api.errors import ApiError, ErrorType

MAX_PASSWORD_LENGTH = 1024
SEQUENCES = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
)
LEAST_CHARACTERS = 5
"""How many different characters a password has at least."""
REFUSED = (
    "the commonest passwords, also with decoration around them, in disguise, or twice",
    "repetitions and sequences",
    "what contains the name in the email address",
)
"""What else is refused, for people."""
SHORTEST_NAME = 4
"""A shorter part of an address may stand in a password: it says too little."""
DECORATION = re.compile(r"^[\W\d_]+|[\W\d_]+$")
DISGUISES = str.maketrans("@430157$!", "aaeoistsi")


def refusal(password: str, shortest: int, email: str) -> tuple[str, str] | None:
    """What is wrong with a password, as a sentence and a word for programs; None: nothing."""
    if len(password) < shortest:
        return f"The password must have at least {shortest} characters.", "too_short"
    folded = password.casefold()
    if len(set(folded)) < LEAST_CHARACTERS or _is_sequence(folded):
        return (
            "The password repeats itself or is a sequence: take some words instead.",
            "too_simple",
        )
    if _is_common(folded):
        return "The password is one of those that are tried first: take another.", "too_common"
    name = email.partition("@")[0].casefold()
    if len(name) >= SHORTEST_NAME and name in folded:
        return "The password contains the name in your email address.", "contains_name"
    return None


def _is_sequence(folded: str) -> bool:
    return any(folded in line * 2 or folded[::-1] in line * 2 for line in SEQUENCES) or bool(
        re.fullmatch(r"(.{1,4})\1+.{0,3}", folded)
    )


def _bare(text: str) -> str:
    return DECORATION.sub("", text)


GUESSED = COMMON | ({_bare(word) for word in COMMON} - {""})


def _is_common(folded: str) -> bool:
    """Whether it is a common one, plainly, with decoration around it, in disguise, or twice."""
    plain = {folded, _bare(folded)}
    forms = plain | {form.translate(DISGUISES) for form in plain}
    halves = {form[: len(form) // 2] for form in forms if form[: len(form) // 2] * 2 == form}
    return not GUESSED.isdisjoint(forms | halves)


def require_good(password: str, shortest: int, email: str, pointer: str) -> None:
    """Refuse a password that is easily guessed; `pointer` says where in the body it stands.

    Raises:
        ApiError: `validation_error`.
    """
    found = refusal(password, shortest, email)
    if found is None:
        return
    detail, word = found
    problem = {"in": "body", "pointer": pointer, "detail": detail, "type": word}
    raise ApiError(ErrorType.validation_error, detail, errors=[problem])
