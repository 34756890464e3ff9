"""How long models were busy: shared in batches, sent back with answers, counted by stage."""

import asyncio
from collections.abc import Sequence

import pytest

from serving import busy
from serving.busy import Served, counted, served, stage, taken
from serving.deployments.batching import Batcher, BatchNote, EngineThreads
from serving.deployments.waiting import BatchRules, Traits


class Replica:
    """Says what it was told, in batches."""

    def __init__(self, size: int) -> None:
        self.notes: list[BatchNote] = []
        self.batcher: Batcher = Batcher(
            self._work,
            threads=EngineThreads("test", 1, 60.0),
            rules=BatchRules(size),
            wait_seconds=5.0,
            traits=lambda item: Traits(seconds=item),
            on_batch=self.notes.append,
            caller=lambda: "somebody",
        )

    def _work(self, items: Sequence[float]) -> list[float]:
        return list(items)

    @served
    async def say(self, item: float) -> float:
        return await self.batcher(item)


async def test_shares_of_a_batch_go_by_audio_and_add_up():
    replica = Replica(size=3)
    answers = await asyncio.gather(*[replica.say(item) for item in (1.0, 2.0, 5.0)])
    assert [one.answer for one in answers] == [1.0, 2.0, 5.0]
    [note] = replica.notes
    assert note.callers == ("somebody",) * 3
    shares = [one.busy_seconds for one in answers]
    assert sum(shares) == pytest.approx(note.seconds)
    assert shares[2] == pytest.approx(5 * shares[0])


async def test_what_has_no_audio_shares_evenly():
    replica = Replica(size=2)
    one, other = await asyncio.gather(replica.say(0.0), replica.say(0.0))
    assert one.busy_seconds == other.busy_seconds


async def test_counted_by_stage_over_all_tasks_that_the_block_starts():
    async def ask(seconds: float) -> str:
        return taken(Served("answer", seconds))

    with counted() as account:
        with stage("transcribe"):
            assert set(await asyncio.gather(ask(1.0), ask(2.0))) == {"answer"}
        with stage("align"):
            await ask(4.0)
    assert account.by_stage == {"transcribe": 3.0, "align": 4.0}
    assert account.total == 7.0


async def test_accounts_of_two_do_not_mix():
    async def work(seconds: float) -> float:
        with counted() as account:
            await asyncio.sleep(0)
            busy.note(seconds)
            await asyncio.sleep(0)
        return account.total

    assert list(await asyncio.gather(work(1.0), work(2.0))) == [1.0, 2.0]


def test_where_nobody_counts_nothing_happens():
    busy.note(1.0)
    assert taken("plain") == "plain"
