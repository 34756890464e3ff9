"""An answer is valid, or asked for once more, or the question fails: nothing is made up."""

import json

import pytest
from pydantic import BaseModel

from pipelines.language.structured import AnswerCut, Question, Questions, parsed
from serving.errors import ContextExceeded, LlmOutputInvalid, LlmUnavailable
from serving.language import (
    ChatMessage,
    ChatRole,
    Finish,
    Generation,
    TokenUsage,
)
from tests.fixtures.language import Memory, Watched, engine_model, work_with

CONTEXT = 1000


class Sum(BaseModel):
    total: int


QUESTION = Question(
    (ChatMessage(ChatRole.system, "Add."), ChatMessage(ChatRole.user, "1 and 2")),
    Sum,
    {"type": "object", "properties": {"total": {"type": "integer"}}},
    100,
    0.0,
)


class Script:
    """Answers in order; exceptions are raised."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)

    def __call__(self, request):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        text, finish = answer if isinstance(answer, tuple) else (answer, Finish.stop)
        return Generation(text, finish, TokenUsage(10, 5, 1), "model")


def questions(*answers, memory=None) -> tuple[Questions, Watched]:
    model = Watched(engine_model(CONTEXT), Script(*answers))
    return Questions(work_with(model, memory), "test"), model


GOOD = '{"total": 3}'


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Here you are:\n{GOOD}\nAnything else?",
        f'<think>{{"total": 7}}? No.</think>{GOOD}',
        '{"total": 3, "why": "a\nb"}',
    ],
)
def test_the_object_in_an_answer_is_found(text):
    assert parsed(text, Sum) == Sum(total=3)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Three.", "no JSON object"),
        ('{"total": ', "no valid JSON"),
        ('{"total": "three"}', "total: "),
        ("{}", "total: Field required"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(text, problem):
    with pytest.raises(LlmOutputInvalid, match=problem):
        parsed(text, Sum)


async def test_an_invalid_answer_is_asked_for_once_more_with_what_was_wrong():
    asking, model = questions('{"total": "three"}', GOOD)
    assert await asking.ask(QUESTION) == Sum(total=3)
    first, second = model.requests
    assert len(second.messages) == len(first.messages)
    assert "total: Input should be a valid integer" in second.messages[-1].content
    assert asking.usage == TokenUsage(20, 10, 2)


async def test_an_answer_that_stays_invalid_fails():
    memory = Memory()
    asking, model = questions("three", "still three", memory=memory)
    with pytest.raises(LlmOutputInvalid, match="also when asked again: it is no JSON object"):
        await asking.ask(QUESTION)
    assert len(model.requests) == 2
    # Another attempt may have a better answer.
    assert not memory.kept


async def test_a_cut_answer_gets_twice_the_room():
    asking, model = questions(('{"tot', Finish.length), GOOD)
    assert await asking.ask(QUESTION) == Sum(total=3)
    assert [request.max_tokens for request in model.requests] == [100, 200]
    assert asking.usage.calls == 2


async def test_an_answer_that_is_whole_at_its_limit_is_taken():
    asking, _ = questions((GOOD, Finish.length))
    assert await asking.ask(QUESTION) == Sum(total=3)


async def test_an_answer_that_is_cut_again_is_said_to_be():
    memory = Memory()
    asking, _ = questions(("{", Finish.length), ("{", Finish.length), memory=memory)
    with pytest.raises(AnswerCut):
        await asking.ask(QUESTION)
    again, unasked = questions(memory=memory)
    with pytest.raises(AnswerCut):
        await again.ask(QUESTION)
    assert not unasked.requests
    assert again.usage == asking.usage == TokenUsage(20, 10, 2)


async def test_a_full_context_gives_no_more_room():
    asking, model = questions(("{", Finish.length))
    large = Question(QUESTION.messages, Sum, QUESTION.schema, 700, 0.0)
    with pytest.raises(AnswerCut):
        await asking.ask(large)
    assert len(model.requests) == 1


async def test_a_correction_after_more_room_still_fits():
    texts = [("{", Finish.length), "three", GOOD]
    asking, model = questions(*texts)
    large = Question(QUESTION.messages, Sum, QUESTION.schema, 600, 0.0)
    await asking.ask(large)
    [*_, last] = model.requests
    counts = await model.count_tokens([message.content for message in last.messages])
    assert 10 + sum(counts) + last.max_tokens <= CONTEXT


async def test_a_prompt_that_the_provider_finds_too_long_is_asked_once():
    memory = Memory()
    asking, _ = questions(ContextExceeded("1200 tokens of 1000"), memory=memory)
    with pytest.raises(ContextExceeded, match="1200 tokens"):
        await asking.ask(QUESTION)
    again, unasked = questions(memory=memory)
    with pytest.raises(ContextExceeded, match="1200 tokens"):
        await again.ask(QUESTION)
    assert not unasked.requests


async def test_what_was_answered_is_not_asked_again():
    memory = Memory()
    asking, _ = questions(GOOD, memory=memory)
    await asking.ask(QUESTION)
    again, unasked = questions(memory=memory)
    assert await again.ask(QUESTION) == Sum(total=3)
    assert not unasked.requests
    assert again.usage == asking.usage


async def test_another_question_is_another_answer():
    memory = Memory()
    asking, _ = questions(GOOD, memory=memory)
    await asking.ask(QUESTION)
    for other in (
        Question(QUESTION.messages, Sum, QUESTION.schema, 100, 0.5),
        Question(QUESTION.messages, Sum, QUESTION.schema, 101, 0.0),
        Question(QUESTION.messages[1:], Sum, QUESTION.schema, 100, 0.0),
        Question(QUESTION.messages, Sum, {}, 100, 0.0),
    ):
        again, asked = questions(GOOD, memory=memory)
        await again.ask(other)
        assert len(asked.requests) == 1


async def test_a_provider_that_fails_is_no_answer():
    memory = Memory()
    asking, _ = questions(LlmUnavailable("away"), memory=memory)
    with pytest.raises(LlmUnavailable):
        await asking.ask(QUESTION)
    assert not memory.kept


async def test_only_answers_are_kept_and_no_key():
    memory = Memory()
    asking, _ = questions(GOOD, memory=memory)
    await asking.ask(QUESTION)
    [parts] = memory.kept.values()
    assert json.loads(parts[0])["text"] == GOOD
