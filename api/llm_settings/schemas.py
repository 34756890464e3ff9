"""Bodies and answers about configurations of language models. Keys go in, and never come out."""

import re
import uuid
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, Field, SecretStr, model_validator

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from api.text import one_line
from cluster.settings import LlmProvider
from db.models import LlmConfiguration

MAX_URL_CHARACTERS = 500
VISIBLE = re.compile(r"[!-~]+")
"""What can stand in a header: a key with a line break would end one and begin another."""


def _key(key: SecretStr) -> SecretStr:
    if not VISIBLE.fullmatch(key.get_secret_value()):
        raise ValueError("a key has visible ASCII characters only, and no blanks")
    return key


Name = Annotated[
    str,
    Field(min_length=1, max_length=100),
    one_line,
    Field(max_length=100, description="One line; each of your configurations has another one"),
]
Model = Annotated[
    str,
    Field(min_length=1, max_length=200),
    one_line,
    Field(max_length=200, description="What the provider calls the model"),
]
BaseUrl = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_URL_CHARACTERS,
        description="Where the provider is reached, such as `https://llm.example.org/v1`",
    ),
]
ApiKey = Annotated[
    SecretStr,
    Field(
        min_length=1,
        max_length=1000,
        description="The provider's key: stored encrypted, never shown",
    ),
    AfterValidator(_key),
]
Context = Annotated[
    int,
    Field(
        ge=1024,
        le=2_000_000,
        description="Tokens that a prompt and its answer may have together. Set what the model "
        "really has: some servers cut what is longer without a word",
    ),
]
Temperature = Annotated[
    float, Field(ge=0, le=2, description="How freely it answers; models that take none get none")
]


class ConnectionIn(BaseModel):
    """How a language model is reached."""

    provider: LlmProvider
    """Who runs it."""
    model: Model | None = None
    """What the provider calls it; null only with `local`, which has one."""
    base_url: BaseUrl | None = None
    """Null: the provider's own address. `vllm`, `ollama` and `custom` have none."""
    api_key: ApiKey | None = None
    """Null: none. `openai`, `anthropic` and `openrouter` need one."""
    context_tokens: Context = 8192
    temperature: Temperature = 0.3

    model_config = documented(
        {
            "provider": "vllm",
            "model": "Qwen/Qwen2.5-7B-Instruct",
            "base_url": "https://llm.example.org/v1",
            "api_key": None,
            "context_tokens": 32768,
            "temperature": 0.3,
        }
    )


class ConfigurationIn(ConnectionIn):
    """A new configuration."""

    name: Name

    model_config = documented(
        {
            "name": "Claude",
            "provider": "anthropic",
            "model": "claude-sonnet-4-5",
            "base_url": None,
            "api_key": "sk-ant-your-key",
            "context_tokens": 200_000,
            "temperature": 0.3,
        }
    )


class ConnectionChanges(BaseModel):
    """What is to be different; what is left out stays as it is.

    A key is sent to no other address than the one that it was entered for: with another `provider`
    or `base_url`, and no `api_key`, the stored one is dropped.
    """

    provider: LlmProvider | None = None
    """Who runs it; null: as before. With another one, `base_url` is its own unless sent."""
    model: Model | None = None
    """What the provider calls it; null: as before."""
    base_url: BaseUrl | None = None
    """Where it is reached; null: the provider's own address."""
    api_key: ApiKey | None = None
    """The new key; null: none. Left out: the stored one."""
    context_tokens: Context | None = None
    """Null: as before."""
    temperature: Temperature | None = None
    """Null: as before."""

    model_config = documented({"model": "Qwen/Qwen2.5-14B-Instruct", "context_tokens": 65536})

    @model_validator(mode="after")
    def something(self) -> Self:
        """Refuse a change of nothing."""
        emptied = {"base_url", "api_key"} & self.model_fields_set
        if not emptied and not self.model_dump(exclude_none=True):
            raise ValueError("send what is to be different")
        return self


class ConfigurationChanges(ConnectionChanges):
    """The same, and perhaps another name."""

    name: Name | None = None
    """Null: as before."""

    model_config = documented({"name": "The large one", "model": "Qwen/Qwen2.5-14B-Instruct"})


EXAMPLE_CONFIGURATION: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "name": "Claude",
    "provider": "anthropic",
    "model": "claude-sonnet-4-5",
    "base_url": None,
    "has_api_key": True,
    "context_tokens": 200_000,
    "temperature": 0.3,
    "is_active": True,
    "last_tested_at": EXAMPLE_MOMENT,
    "test_status": "success",
    "test_message": "The model answers.",
    "created_at": EXAMPLE_MOMENT,
    "updated_at": EXAMPLE_MOMENT,
}


class ConfigurationOut(BaseModel):
    """A language model that is set up; its key is not shown to anybody."""

    id: uuid.UUID
    """The configuration's id."""
    name: str
    """Its name."""
    provider: LlmProvider
    """Who runs it."""
    model: str
    """What the provider calls it."""
    base_url: str | None
    """Where it is reached; null: at the provider's own address."""
    has_api_key: bool
    """Whether a key is stored."""
    context_tokens: int
    """Tokens that a prompt and its answer may have together."""
    temperature: float
    """How freely it answers."""
    is_active: bool
    """Whether work is done with it; one of a user's is."""
    last_tested_at: datetime | None
    """When it was last tested; null: not since it was last changed."""
    test_status: str | None
    """How that went: `success` or `failed`."""
    test_message: str | None
    """The same in words."""
    created_at: datetime
    """When it was made."""
    updated_at: datetime
    """When it last changed."""

    @classmethod
    def fields_of(cls, row: LlmConfiguration) -> dict[str, Any]:
        """All of these of a row."""
        shown = (name for name in ConfigurationOut.model_fields if name != "has_api_key")
        return {"has_api_key": row.api_key is not None, **{one: getattr(row, one) for one in shown}}

    @classmethod
    def of(cls, row: LlmConfiguration) -> Self:
        """The answer about this row."""
        return cls(**cls.fields_of(row))

    model_config = documented(EXAMPLE_CONFIGURATION)


class ConfigurationChanged(ConfigurationOut):
    """A configuration after a change."""

    api_key_dropped: bool
    """Whether the stored key is gone, since it was entered for another address: send it again."""

    @classmethod
    def after(cls, row: LlmConfiguration, *, dropped: bool) -> Self:
        """The answer about this row."""
        return cls(**cls.fields_of(row), api_key_dropped=dropped)

    model_config = documented({**EXAMPLE_CONFIGURATION, "api_key_dropped": False})


class ConfigurationDeleted(BaseModel):
    """What a deletion has led to."""

    active_id: uuid.UUID | None
    """The configuration that is active now in place of the deleted one; null: that was not active,
    or there is no other."""

    model_config = documented({"active_id": EXAMPLE_ID})


class ConfigurationsDeleted(BaseModel):
    """What was deleted."""

    removed: int
    """How many configurations."""

    model_config = documented({"removed": 2})


class ActiveConfiguration(BaseModel):
    """Which configuration work is to be done with."""

    configuration_id: uuid.UUID
    """One of yours."""

    model_config = documented({"configuration_id": EXAMPLE_ID})


class DefaultOut(BaseModel):
    """What those use who set up no language model."""

    configuration: ConfigurationOut | None
    """Null: none is set, and they use the one inside the cluster, if there is one."""

    model_config = documented({"configuration": {**EXAMPLE_CONFIGURATION, "name": "default"}})
