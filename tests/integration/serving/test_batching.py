"""Batches of different users' items: one on which the engine breaks fails alone."""

from collections.abc import Sequence

from serving.deployments.batching import separately
from serving.errors import EngineFailed, LanguageUnsupported, SpeechUnavailable


def work(items: Sequence[int]) -> list[int]:
    if 13 in items:
        raise RuntimeError("the engine breaks on 13")
    return [item * 2 for item in items]


def test_a_good_batch_is_one_call():
    assert separately(work, [1, 2, 3]) == [2, 4, 6]


def test_a_poison_item_fails_alone():
    first, poison, last = separately(work, [1, 13, 3])
    assert (first, last) == (2, 6)
    assert isinstance(poison, RuntimeError)


def test_errors_of_replicas_keep_their_verdict_and_lose_their_details():
    from ray.exceptions import ActorDiedError, RayTaskError

    from serving.client import unwrapped

    def told(cause: Exception) -> RayTaskError:
        return RayTaskError("work", "trace /secret/path", cause).as_instanceof_cause()

    assert isinstance(unwrapped(told(LanguageUnsupported("no xx")), "T"), LanguageUnsupported)
    broken = unwrapped(told(ValueError("SELECT password FROM user")), "T")
    assert isinstance(broken, EngineFailed)
    assert not broken.retryable
    gone = unwrapped(ActorDiedError(), "Transcriber")
    assert isinstance(gone, SpeechUnavailable)
    for error in (broken, gone):
        assert "/" not in error.message
        assert "SELECT" not in error.message
