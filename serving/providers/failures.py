"""What a provider's failures mean: one error of the port for each, and no key in its text."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import httpx2
import structlog

from cluster.egress import EgressRefused
from serving.errors import (
    ContextExceeded,
    LlmFailed,
    LlmRateLimited,
    LlmRefused,
    LlmUnauthorised,
    LlmUnavailable,
    SpeechError,
)
from serving.language import LlmConnection
from serving.providers.known import KNOWN
from serving.providers.redaction import redacted

log = structlog.get_logger(__name__)

TOO_LONG = re.compile(
    r"context[ _-](length|window|size)|maximum context|prompt is too long|input is too long"
    r"|too many (input |prompt )?tokens|(exceeds?|longer than) the (model|context)",
    re.IGNORECASE,
)
"""How servers say that a prompt does not fit; only some have a code for it."""
CONTEXT_CODES = {"context_length_exceeded", "exceed_context_size_error", "request_too_large"}
FILTER_CODES = {"content_filter", "content_policy_violation", "responsibleaipolicyviolation"}
CREDIT_CODES = {"insufficient_quota", "billing_error", "billing_hard_limit_reached"}
STATUS_OF_CODE = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "invalid_request_error": 400,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What is said in the middle of an answer has no status of its own."""
REQUEST_STATUSES = {400, 413, 422, 500}
"""With which servers say that a prompt is too long."""
BUSY_STATUSES = {408, 409, 425}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What went wrong with a try, and what may be done."""

    error: SpeechError
    pause_seconds: float | None = None
    """How long the provider wants to be left alone, if it said so."""
    rejected: bool = False
    """The request itself was not taken: one that asks for less of the provider may be."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a provider said of a failure."""

    status: int | None
    """Of HTTP; None: in the middle of an answer."""
    text: str = ""
    codes: tuple[str, ...] = ()
    """Its own words for kinds of failure."""
    headers: Mapping[str, str] | None = None


class Failures:
    """Failures of one connection's calls."""

    def __init__(self, connection: LlmConnection) -> None:
        self._who = f"{KNOWN[connection.provider].title} ({connection.model})"
        key = connection.api_key
        self._key = key.get_secret_value() if key is not None else None
        self._names = {"provider": connection.provider.value, "model": connection.model}

    def message(self, what: str, detail: str = "") -> str:
        """A sentence that names the provider and the model, and no key."""
        shown = redacted(detail, self._key).rstrip(".")
        return f"{self._who} {what}: {shown}." if shown else f"{self._who} {what}."

    def of_answer(self, told: Told) -> Verdict:
        """What an answer means that is no success."""
        status = self._status(told)
        codes = {code.lower() for code in told.codes}
        if codes & FILTER_CODES:
            return Verdict(LlmRefused(self.message("will not answer this", told.text)))
        too_long = status in REQUEST_STATUSES and TOO_LONG.search(told.text)
        if codes & CONTEXT_CODES or status == 413 or too_long:
            return Verdict(ContextExceeded(self.message("cannot take so long a text", told.text)))
        if status == 402 or codes & CREDIT_CODES:
            return Verdict(LlmFailed(self.message("wants to be paid", told.text)))
        if status == 429:
            return Verdict(
                LlmRateLimited(self.message("wants fewer calls", told.text)),
                _retry_after(told.headers),
            )
        if status in BUSY_STATUSES or status >= 500:
            when = "in the middle of an answer" if told.status is None else f"(HTTP {status})"
            failed = LlmUnavailable(self.message(f"failed {when}", told.text))
            return Verdict(failed, _retry_after(told.headers))
        return Verdict(self._refusal(status, told.text), rejected=status in {400, 422})

    def _status(self, told: Told) -> int:
        if told.status is not None:
            return told.status
        for code in told.codes:
            if code.isdecimal() and len(code) == 3:
                return int(code)
            if code.lower() in STATUS_OF_CODE:
                return STATUS_OF_CODE[code.lower()]
        return 500

    def _refusal(self, status: int, text: str) -> SpeechError:
        match status:
            case 401:
                # Nothing of what it says here is worth the risk: some repeat the key.
                return LlmUnauthorised(self.message("does not take the key"))
            case 403:
                return LlmUnauthorised(self.message("does not allow this", text))
            case 404:
                what = "does not know the model, or nothing is at its address"
            case status if 300 <= status < 400:
                what = "leads elsewhere, and keys are not sent on: enter the address it leads to"
            case _:
                what = f"does not take the request (HTTP {status})"
        return LlmFailed(self.message(what, text))

    def of_transport(self, error: Exception) -> Verdict:
        """What an error of a library means that has no answer with it."""
        chain = list(_chain(error))
        for cause in chain:
            if isinstance(cause, EgressRefused):
                return Verdict(LlmFailed(self.message("cannot be asked", cause.message)))
        said = "; ".join(f"{type(cause).__name__}: {cause}" for cause in chain)
        log.warning("no answer", **self._names, error=redacted(said, self._key))
        return Verdict(LlmUnavailable(self.message("does not answer, or broke off")))

    def of_error(self, error: Exception) -> Verdict:
        """What any other error means, of a library or of the port."""
        if isinstance(error, SpeechError):
            return Verdict(error)
        if isinstance(error, httpx.HTTPError | httpx2.HTTPError | OSError):
            return self.of_transport(error)
        return self.of_nonsense(error)

    def of_nonsense(self, error: Exception) -> Verdict:
        """What it means that an answer could not be read by the library for its protocol."""
        said = f"{type(error).__name__}: {error}"
        log.warning("unreadable answer", **self._names, error=redacted(said, self._key))
        if isinstance(error, UnicodeError) or _is_broken_json(error):
            return Verdict(LlmUnavailable(self.message("sent an answer that cannot be read")))
        what = "answers in a form that is not its protocol's; the address may be wrong"
        return Verdict(LlmFailed(self.message(what)))

    def silent(self, seconds: float) -> Verdict:
        """It has said nothing for too long."""
        return Verdict(LlmUnavailable(self.message(f"was silent for {seconds:g} seconds")))

    def too_slow(self) -> Verdict:
        """A call with its repetitions has taken as long as one may."""
        return Verdict(LlmUnavailable(self.message("takes longer than a call may take")))

    def broke_off(self) -> Verdict:
        """An answer ended before its end."""
        return Verdict(LlmUnavailable(self.message("broke off in the middle of an answer")))


def _is_broken_json(error: Exception) -> bool:
    # Both libraries' decoders raise a ValueError of this name.
    return type(error).__name__ == "JSONDecodeError"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _retry_after(headers: Mapping[str, str] | None) -> float | None:
    """Seconds from now: they are said in thousandths, in seconds, or as a date."""
    said = headers or {}
    for name, parts in (("retry-after-ms", 1000), ("retry-after", 1)):
        value = said.get(name, "")
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value) / parts
    try:
        moment = parsedate_to_datetime(said.get("retry-after", ""))
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        # No date, or one without a zone.
        return None
