"""Settings of what operators see: metrics, traces, and what use costs."""

import hmac
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from cluster.settings.base import Group

Price = Annotated[float, Field(ge=0)]
ANY = "*"
"""In a list of prices: all that it does not name."""


class TelemetrySettings(Group):
    """Metrics and traces."""

    # An error that shows what was given would show the collector's key.
    model_config = SettingsConfigDict(hide_input_in_errors=True)

    otlp_endpoint: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    """`http(s)://host:port/v1/traces` of an OpenTelemetry collector: a trace for each task goes
    there over OTLP/HTTP, with ids, stages and seconds, never with names or text. Unset: no
    traces. It is the operator's own server, so egress rules do not apply to it."""
    otlp_headers: SecretStr | None = None
    """Headers that the collector wants, as `name=value`, separated by commas."""
    trace_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Which part of the tasks is traced. A task has a span for each stage and each call of a
    replica: some hundred for an hour of audio."""
    metrics_token: SecretStr | None = None
    """Who shows it as `Authorization: Bearer …` is told by `/metrics` which users use most.
    `/metrics` is open to all who reach the API, and without it names nobody."""
    metrics_users: Annotated[int, Field(ge=0, le=1000)] = 50
    """How many users `/metrics` names then: those with most audio in the last 24 hours; all others
    are one series, `other`. Each name is a series that Prometheus keeps as long as its data."""

    def names_users_to(self, authorization: str) -> bool:
        """Whether that `Authorization` header shows the token."""
        if self.metrics_token is None:
            return False
        wanted = f"Bearer {self.metrics_token.get_secret_value()}"
        return hmac.compare_digest(authorization.encode(), wanted.encode())

    @model_validator(mode="after")
    def _named(self) -> Self:
        told = self.otlp_headers.get_secret_value() if self.otlp_headers else ""
        pairs = [one.partition("=") for one in told.split(",") if one.strip()]
        if any(not name.strip() or not value.strip() for name, _, value in pairs):
            raise ValueError("RAYSCRIBE_OTLP_HEADERS must be name=value, separated by commas")
        return self


class PriceSettings(Group):
    """What use costs: for figures in `/api/admin/usage`, nothing is refused for it."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_PRICE_", extra="ignore", frozen=True, populate_by_name=True
    )

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "EUR"
    """In which prices are told (ISO 4217)."""
    audio_hour: Price = 0.0
    """Of an hour of audio whose transcript was published."""
    model_hours: dict[str, Price] = {}  # noqa: RUF012 - pydantic copies it
    """Of an hour that models were busy, by stage, as JSON: `{"transcribe": 0.9, "*": 0.4}`. `*`:
    all other stages."""
    million_tokens: dict[str, tuple[Price, Price]] = {}  # noqa: RUF012 - the same
    """Of a million tokens by model, asked and answered, as JSON: `{"gpt-5-mini": [0.25, 2],
    "*": [0, 0]}`. `*`: all other models."""

    def model_hour(self, stage: str) -> float:
        """Of an hour of a stage."""
        return self.model_hours.get(stage, self.model_hours.get(ANY, 0.0))

    def tokens(self, model: str) -> tuple[float, float]:
        """Of a million tokens that a model is asked with, and answers."""
        return self.million_tokens.get(model, self.million_tokens.get(ANY, (0.0, 0.0)))
