"""Language models of users: one of each user's is active, however many change them at once."""

import asyncio
import uuid
from typing import Any

import pytest
from sqlalchemy import select, text

from cluster.settings import LlmProvider
from db.engine import Sessions, session_scope
from db.errors import NameTaken, NotFound
from db.models import LlmConfiguration, User
from db.queries import llm_configurations

AT_ONCE = 8


@pytest.fixture
async def me(sessions: Sessions) -> uuid.UUID:
    return await account(sessions)


async def account(sessions: Sessions) -> uuid.UUID:
    user_id = uuid.uuid4()
    async with session_scope(sessions) as session:
        session.add(User(id=user_id, email=f"{user_id}@example.org"))
    return user_id


async def add(sessions: Sessions, user_id: uuid.UUID, name: str, **more: Any) -> LlmConfiguration:
    values = {"name": name, "provider": LlmProvider.vllm, "model": "m", "base_url": "http://x"}
    async with session_scope(sessions) as session:
        return await llm_configurations.add(session, user_id, {**values, **more})


async def active(sessions: Sessions, user_id: uuid.UUID) -> list[str]:
    """The names of what is active; SQL of its own, so that none is overlooked."""
    async with session_scope(sessions) as session:
        names = await session.scalars(
            select(LlmConfiguration.name).where(
                LlmConfiguration.user_id == user_id, LlmConfiguration.is_active
            )
        )
        return sorted(names)


async def activate(sessions: Sessions, user_id: uuid.UUID, row: LlmConfiguration) -> None:
    async with session_scope(sessions) as session:
        assert (await llm_configurations.activate(session, user_id, row.id)).is_active


async def remove(sessions: Sessions, user_id: uuid.UUID, row: LlmConfiguration) -> str | None:
    async with session_scope(sessions) as session:
        heir = await llm_configurations.remove(session, user_id, row.id)
        return heir.name if heir else None


class TestOneIsActive:
    async def test_the_first_one_is(self, sessions, me):
        await add(sessions, me, "a")
        await add(sessions, me, "b")
        other = await account(sessions)
        await add(sessions, other, "a")
        assert await active(sessions, me) == ["a"]
        assert await active(sessions, other) == ["a"]

    async def test_another_one_takes_its_place(self, sessions, me):
        rows = [await add(sessions, me, name) for name in "abc"]
        for row in (rows[1], rows[1], rows[2], rows[0]):
            await activate(sessions, me, row)
            assert await active(sessions, me) == [row.name]

    async def test_when_it_goes_the_latest_one_comes(self, sessions, me):
        rows = {name: await add(sessions, me, name) for name in "abcd"}
        assert await remove(sessions, me, rows["d"]) is None
        assert await remove(sessions, me, rows["a"]) == "c"
        assert await active(sessions, me) == ["c"]
        assert await remove(sessions, me, rows["c"]) == "b"
        assert await remove(sessions, me, rows["b"]) is None
        assert await active(sessions, me) == []
        await add(sessions, me, "e")
        assert await active(sessions, me) == ["e"]

    async def test_after_all_are_gone_the_next_is_the_first(self, sessions, me):
        for name in "abc":
            await add(sessions, me, name)
        async with session_scope(sessions) as session:
            assert await llm_configurations.remove_all(session, me) == 3
        await add(sessions, me, "d")
        assert await active(sessions, me) == ["d"]


class TestAtOnce:
    async def test_many_are_made(self, sessions, me):
        await asyncio.gather(*[add(sessions, me, f"{n}") for n in range(AT_ONCE)])
        assert len(await active(sessions, me)) == 1

    async def test_many_of_one_name_are_made(self, sessions, me):
        made = await asyncio.gather(
            *[add(sessions, me, "a") for _ in range(AT_ONCE)], return_exceptions=True
        )
        assert sum(isinstance(one, NameTaken) for one in made) == AT_ONCE - 1
        assert await active(sessions, me) == ["a"]

    async def test_many_are_set_active(self, sessions, me):
        rows = [await add(sessions, me, f"{n}") for n in range(AT_ONCE)]
        for _ in range(3):
            await asyncio.gather(*[activate(sessions, me, row) for row in rows])
            assert len(await active(sessions, me)) == 1

    async def test_they_are_made_set_active_changed_and_deleted(self, sessions, me):
        rows = [await add(sessions, me, f"{n}") for n in range(AT_ONCE)]

        async def rename(row: LlmConfiguration) -> None:
            async with session_scope(sessions) as session:
                held = await llm_configurations.get(session, me, row.id, lock=True)
                await llm_configurations.change(session, held, {"name": f"{row.name}!"})

        await asyncio.gather(
            *[remove(sessions, me, row) for row in rows[:3]],
            *[activate(sessions, me, row) for row in rows[3:]],
            *[rename(row) for row in rows[3:]],
            *[add(sessions, me, f"new {n}") for n in range(3)],
        )
        assert len(await active(sessions, me)) == 1

    async def test_two_swap_their_names(self, sessions, me):
        first, second = [await add(sessions, me, name) for name in "ab"]

        async def rename(row: LlmConfiguration, name: str) -> None:
            async with session_scope(sessions) as session:
                held = await llm_configurations.get(session, me, row.id, lock=True)
                await llm_configurations.change(session, held, {"name": name})

        done = await asyncio.gather(rename(first, "b"), rename(second, "a"), return_exceptions=True)
        # Neither waits for ever, nor for the other.
        assert all(isinstance(one, NameTaken) for one in done)


class TestOwners:
    async def test_what_is_anothers_is_not_there(self, sessions, me):
        row = await add(sessions, me, "a")
        other = await account(sessions)
        for ask in (llm_configurations.get, llm_configurations.activate, llm_configurations.remove):
            async with session_scope(sessions) as session:
                with pytest.raises(NotFound):
                    await ask(session, other, row.id)
        async with session_scope(sessions) as session:
            assert await llm_configurations.remove_all(session, other) == 0
            assert await llm_configurations.active(session, other) is None
            assert (await llm_configurations.page(session, other, limit=9, offset=0))[1] == 0
        assert await active(sessions, me) == ["a"]

    async def test_the_default_is_nobodys_and_there_is_one(self, sessions, me):
        values = {"provider": LlmProvider.vllm, "model": "m", "base_url": "http://x"}
        async with session_scope(sessions) as session:
            assert await llm_configurations.default(session, lock=True) is None
            made = await llm_configurations.add_default(session, values)
        async with session_scope(sessions) as session:
            assert (await llm_configurations.default(session)).id == made.id
            with pytest.raises(NotFound):
                await llm_configurations.get(session, me, made.id)
            await llm_configurations.remove_default(session)
            assert await llm_configurations.default(session) is None


class TestTests:
    async def test_what_came_of_one_is_kept(self, sessions, me):
        row = await add(sessions, me, "a")
        async with session_scope(sessions) as session:
            await llm_configurations.note_test(session, row, "failed", "It is away.")
        async with session_scope(sessions) as session:
            noted = await llm_configurations.get(session, me, row.id)
        assert (noted.test_status, noted.test_message) == ("failed", "It is away.")
        assert noted.last_tested_at is not None
        assert noted.updated_at == row.updated_at

    async def test_but_not_where_it_was_changed_since(self, sessions, me):
        row = await add(sessions, me, "a")
        async with session_scope(sessions) as session:
            held = await llm_configurations.get(session, me, row.id, lock=True)
            await llm_configurations.change(session, held, {"model": "another"})
        async with session_scope(sessions) as session:
            await llm_configurations.note_test(session, row, "success", "The model answers.")
        async with session_scope(sessions) as session:
            assert (await llm_configurations.get(session, me, row.id)).last_tested_at is None


async def test_the_database_itself_allows_one_active(sessions, me):
    rows = [await add(sessions, me, name) for name in "ab"]
    with pytest.raises(Exception, match="uq_llm_configuration_active"):
        async with session_scope(sessions) as session:
            await session.execute(
                text("UPDATE llm_configuration SET is_active = true WHERE id = :id"),
                {"id": rows[1].id},
            )
