"""Whose language model works for a user: own before the default before the one inside."""

import uuid
from typing import Any

import pytest
from pydantic import SecretStr

from cluster.encryption import Encryption
from cluster.settings import AuthSettings, LanguageSettings, LlmProvider
from db.engine import Sessions, session_scope
from db.models import User
from db.queries import llm_configurations
from pipelines.language.configurations import LocalState, Source, find, resolve
from serving.errors import LlmFailed, LlmUnauthorised, LlmUnavailable
from serving.language import LlmConnection

KEY = "sk-of-somebody"
BOX = Encryption(AuthSettings(secret_key=SecretStr("s" * 32)))
OTHER_BOX = Encryption(AuthSettings(secret_key=SecretStr("t" * 32)))
LOCAL = LocalState("qwen-inside", 4096)


@pytest.fixture
async def me(sessions: Sessions) -> uuid.UUID:
    user_id = uuid.uuid4()
    async with session_scope(sessions) as session:
        session.add(User(id=user_id, email=f"{user_id}@example.org"))
    return user_id


def values(provider: LlmProvider = LlmProvider.openai, **more: Any) -> dict[str, Any]:
    row_id = uuid.uuid4()
    sealed = BOX.encrypt(KEY, str(row_id))
    return {"id": row_id, "provider": provider, "model": "m", "api_key": sealed, **more}


async def own(sessions: Sessions, user_id: uuid.UUID, **more: Any) -> None:
    async with session_scope(sessions) as session:
        await llm_configurations.add(session, user_id, {"name": "mine", **values(**more)})


async def default(sessions: Sessions, **more: Any) -> None:
    async with session_scope(sessions) as session:
        await llm_configurations.add_default(session, values(**more))


async def found(
    sessions: Sessions,
    user_id: uuid.UUID,
    local: LocalState | None = None,
    settings: LanguageSettings | None = None,
    box: Encryption = BOX,
) -> LlmConnection | None:
    async with session_scope(sessions) as session:
        return await resolve(session, user_id, settings or LanguageSettings(), local, box)


async def test_own_before_default_before_local_before_none(sessions, me):
    assert await found(sessions, me) is None
    inside = await found(sessions, me, LOCAL)
    assert (inside.provider, inside.model, inside.context_tokens) == (
        LlmProvider.local,
        "qwen-inside",
        4096,
    )
    await default(sessions, model="of all")
    assert (await found(sessions, me, LOCAL)).model == "of all"
    await own(sessions, me, model="mine", context_tokens=2048, temperature=0.7)
    mine = await found(sessions, me, LOCAL)
    assert (mine.model, mine.context_tokens, mine.temperature) == ("mine", 2048, 0.7)
    assert mine.api_key.get_secret_value() == KEY
    assert KEY not in repr(mine)


async def test_the_one_inside_is_not_asked_to_be_found(sessions, me):
    async with session_scope(sessions) as session:
        assert await find(session, me, LanguageSettings()) is None
        asleep = await find(session, me, LanguageSettings(local=True))
    assert (asleep.source, asleep.provider, asleep.model) == (
        Source.local,
        LlmProvider.local,
        None,
    )
    with pytest.raises(LlmUnavailable):
        await found(sessions, me, None, LanguageSettings(local=True))


async def test_the_one_inside_can_be_chosen_and_has_no_more_context_than_it_has(sessions, me):
    await default(sessions)
    local = {"provider": LlmProvider.local, "model": "local", "api_key": None}
    await own(sessions, me, **local, context_tokens=200_000)
    chosen = await found(sessions, me, LOCAL)
    assert (chosen.model, chosen.context_tokens, chosen.api_key) == ("qwen-inside", 4096, None)
    with pytest.raises(LlmUnavailable):
        await found(sessions, me)


async def test_a_key_that_cannot_be_read_any_more_says_what_to_do(sessions, me):
    await default(sessions)
    with pytest.raises(LlmUnauthorised, match="enter it anew at /api/admin/llm-settings"):
        await found(sessions, me, box=OTHER_BOX)
    await own(sessions, me)
    with pytest.raises(LlmUnauthorised, match="enter it anew at /api/llm-settings") as refused:
        await found(sessions, me, box=OTHER_BOX)
    assert KEY not in str(refused.value)


async def test_a_key_of_another_row_cannot_be_read(sessions, me):
    await own(sessions, me, api_key=BOX.encrypt(KEY, str(uuid.uuid4())))
    with pytest.raises(LlmUnauthorised):
        await found(sessions, me)


async def test_who_needs_a_key_and_has_none(sessions, me):
    await own(sessions, me, api_key=None)
    with pytest.raises(LlmUnauthorised, match="openai needs a key"):
        await found(sessions, me)


async def test_who_needs_none_has_none(sessions, me):
    vllm = {"provider": LlmProvider.vllm, "base_url": "http://vllm.example/v1", "api_key": None}
    await own(sessions, me, **vllm)
    assert (await found(sessions, me)).api_key is None


async def test_what_the_operator_does_not_allow_any_more_is_not_used(sessions, me):
    await own(sessions, me)
    with pytest.raises(LlmFailed, match="does not allow the provider openai; allowed are: local"):
        await found(sessions, me, LOCAL, LanguageSettings(providers="local"))
