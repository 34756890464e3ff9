"""A summary of any length with any context: nothing is lost, repeated, or over the context."""

import json
import uuid
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.settings import LlmProvider
from db.models import ContentType
from pipelines.language.budget import LONGEST_MATERIAL, MARGIN
from pipelines.language.prompts import SYSTEM, Prompt
from pipelines.language.sections import BEFORE, BEFORE_END
from pipelines.language.summarize import SHARE, summarize
from serving.errors import ContextExceeded, LlmOutputInvalid, LlmUnavailable
from serving.language import Finish, Generation, TokenUsage
from tests.fixtures.language import (
    Memory,
    Told,
    Watched,
    conversation,
    engine_model,
    unlike_model,
    work_with,
)
from tests.fixtures.planted import chatter, covered, planted

PROMPT = SYSTEM[ContentType.meeting]
CONTEXTS = (2048, 4096, 8192, 32768, 200_000)


def largest(model: Watched) -> int:
    """The most tokens that a prompt and the room for its answer have together."""
    pairs = zip(model.answers, model.requests, strict=True)
    return max(answer.usage.prompt_tokens + request.max_tokens for answer, request in pairs)


def titles(model: Watched) -> list[str]:
    return [request.schema["title"] for request in model.requests]


async def made_with(model, talk, prompt=PROMPT, language="en", memory=None, progress=None):
    return await summarize(talk, prompt, language, work_with(model, memory, progress))


@pytest.mark.parametrize("context", CONTEXTS)
async def test_everything_planted_comes_out_again_with_owner_due_date_and_time(context):
    garden = planted(chatter(minutes=90), facts=14, tasks=9)
    model = Watched(engine_model(context))
    made = await made_with(model, garden.conversation)
    found = covered(garden, made.content, made.sections)
    assert not found.missing
    assert (found.facts_in_place, found.tasks_in_place) == (14, 9)
    assert largest(model) <= context
    assert made.usage.calls == len(model.requests)
    assert made.usage.prompt_tokens == sum(one.usage.prompt_tokens for one in model.answers)


@pytest.mark.parametrize("context", [2048, 8192])
async def test_every_section_is_in_the_summary_and_every_topic_in_one_place(context):
    talk = chatter(minutes=60)
    made = await made_with(Watched(engine_model(context)), talk)
    assert made.method == "sections"
    assert made.content.metadata.sections_processed == len(made.sections) > 1
    assert [section.number for section in made.sections] == list(range(1, len(made.sections) + 1))
    assert made.sections[0].start == talk.utterances[0].start
    assert made.sections[-1].end == talk.utterances[-1].end
    noted = sum(len(section.topics) for section in made.sections)
    points = {point.text for one in made.sections for topic in one.topics for point in topic.points}
    told = "\n".join(point for topic in made.content.major_topics for point in topic.key_points)
    assert all(point in told for point in points)
    assert 1 <= len(made.content.major_topics) <= noted
    for topic in made.content.major_topics:
        assert topic.summary
        assert 0 <= topic.start <= topic.end <= talk.duration


async def test_a_transcript_that_fits_is_one_call():
    model = Watched(engine_model(32768))
    made = await made_with(model, chatter(minutes=20))
    assert (made.method, titles(model), len(made.sections)) == ("single", ["summary"], 1)
    [section] = made.sections
    assert (section.start, section.summary) == (0, made.content.brief_summary)


async def test_a_small_context_takes_two_smaller_steps():
    model = Watched(engine_model(2048))
    made = await made_with(model, chatter(minutes=8))
    *notes, final = titles(model)
    assert (set(notes), final) == ({"notes"}, "final")
    assert made.method == "sections"


@pytest.mark.parametrize("minutes", [0.5, 5])
async def test_what_is_short_is_one_step_for_a_small_context_too(minutes):
    model = Watched(engine_model(4096))
    await made_with(model, chatter(minutes=minutes))
    assert titles(model) == ["summary"]


async def test_a_call_reads_no_more_than_two_hours_however_large_the_context():
    model = Watched(engine_model(200_000))
    made = await made_with(model, chatter(minutes=400))
    assert made.method == "sections"
    assert max(one.usage.prompt_tokens for one in model.answers) < LONGEST_MATERIAL + 2000


async def test_talk_time_is_measured():
    talk = conversation(
        ("Anna", 0, 30, "We sold 4,200 bicycles in Utrecht."),
        ("Bob", 30, 40, "That is good."),
        ("Anna", 40, 100, "Dana Holm will call the bank by Friday noon."),
    )
    made = await made_with(engine_model(8192), talk)
    anna, bob = made.content.speakers_analysis
    assert (anna.speaker, anna.talk_time_percentage, anna.turns) == ("Anna", 90.0, 2)
    assert (bob.speaker, bob.talk_time_percentage, bob.words) == ("Bob", 10.0, 3)
    [item] = made.content.action_items
    assert (item.owner, item.due_date, item.start) == ("Dana Holm", "by Friday noon", 40)
    assert "4,200 bicycles" in made.content.searchable


async def test_what_came_before_is_shown_and_not_noted_twice():
    model = Watched(engine_model(2048))
    made = await made_with(model, planted(chatter(minutes=40), 0, 20).conversation)
    notes = model.asked("notes")
    assert sum(BEFORE in request.messages[-1].content for request in notes) > len(notes) / 2
    assert len(made.content.action_items) == 20
    sections = [
        request.messages[-1].content.partition(BEFORE_END)[2] or request.messages[-1].content
        for request in notes
    ]
    shown = "\n".join(sections)
    assert all(shown.count(item.item) == 1 for item in made.content.action_items)


@pytest.mark.parametrize("minutes", [2, 60])
async def test_the_users_prompt_is_used_in_calls_that_read_and_that_write(minutes):
    text = "Only bicycles, in {language}.\n{speaker_data} {title} {duration}\n{transcript}"
    prompt = Prompt(uuid.uuid4(), "Bicycles", text, ContentType.general)
    model = Watched(engine_model(4096))
    made = await made_with(model, chatter(minutes=minutes), prompt, "de")
    for request in model.requests:
        _, user = request.messages
        assert "Answer in German" in user.content
        if request.schema["title"] != "merged":
            assert user.content.startswith("Only bicycles, in German.")
            assert "Anna: " in user.content
    assert made.content.metadata.prompt_name == "Bicycles"
    assert made.content.metadata.language == "de"


async def test_a_prompt_that_holds_the_transcript_twice_gets_half_of_it():
    prompt = replace(PROMPT, text="{speaker_data} {transcript} once more: {transcript}")
    model = Watched(engine_model(4096))
    await made_with(model, chatter(minutes=30), prompt)
    assert largest(model) <= 4096
    once = Watched(engine_model(4096))
    await made_with(once, chatter(minutes=30))
    assert len(model.asked("notes")) > len(once.asked("notes"))


async def test_a_prompt_that_leaves_no_room_says_so_in_numbers():
    prompt = replace(PROMPT, text="word " * 1500 + "{speaker_data} {transcript}")
    with pytest.raises(ContextExceeded) as refused:
        await made_with(engine_model(2048), chatter(minutes=5), prompt)
    assert "has 2048 tokens" in refused.value.message
    assert f"{MARGIN} are its margin and 512" in refused.value.message


async def test_nothing_said_is_nothing_to_summarise():
    with pytest.raises(ValueError, match="nothing is said"):
        await made_with(engine_model(2048), conversation(("Anna", 0, 1, "  ")))


async def test_an_attempt_after_a_crash_repeats_nothing():
    memory, talk = Memory(), chatter(minutes=60)
    whole = Watched(engine_model(2048))
    expected = await made_with(whole, talk)
    calls = len(whole.requests)

    def fails_after(count):
        left = iter(range(count))

        def before(_):
            if next(left, None) is None:
                raise LlmUnavailable

        return before

    asked = 0
    for reach in (3, 5, calls):
        model = Watched(engine_model(2048), fails_after(reach))
        with suppress(LlmUnavailable):
            made = await made_with(model, talk, memory=memory)
        asked += len(model.answers)
    assert asked == calls
    assert made.usage == expected.usage
    assert (
        made.content.model_copy(update={"metadata": expected.content.metadata}) == expected.content
    )


async def test_a_section_whose_answer_is_cut_is_read_in_two_halves():
    cut: list[str] = []

    def before(request):
        text = request.messages[-1].content
        if request.schema["title"] == "notes" and (not cut or text in cut):
            cut.append(text)
            return Generation("{", Finish.length, TokenUsage(1500, 500, 1), "model")
        return None

    garden = planted(chatter(minutes=30), 6, 6)
    model = Watched(engine_model(2048), before)
    made = await made_with(model, garden.conversation)
    # Asked with more room as far as there was some, then twice as halves.
    assert 1 <= len(cut) <= 2
    assert not covered(garden, made.content, made.sections).missing
    assert made.usage.calls == len(model.requests)
    plain = await made_with(Watched(engine_model(2048)), garden.conversation)
    assert len(made.sections) == len(plain.sections) + 1


async def test_sections_are_made_smaller_where_the_provider_counts_more_than_we_do():
    """Its tokenizer has 1.6 tokens for each of ours; an estimate may be that wrong."""

    def before(request):
        tokens = sum(len(message.content.split()) for message in request.messages) * 2
        if tokens + request.max_tokens > 2048:
            raise ContextExceeded

    garden = planted(chatter(minutes=30), 6, 6)
    model = Watched(engine_model(2048), before)
    made = await made_with(model, garden.conversation)
    assert not covered(garden, made.content, made.sections).missing


async def test_a_whole_answer_that_does_not_fit_is_made_of_sections():
    def before(request):
        if request.schema["title"] == "summary":
            return Generation("{", Finish.length, TokenUsage(9000, 4000, 1), "model")
        return None

    model = Watched(engine_model(16384), before)
    made = await made_with(model, chatter(minutes=30))
    assert made.method == "sections"
    assert titles(model)[0] == "summary"


async def test_a_model_that_only_talks_fails_and_makes_nothing_up():
    def before(_):
        return Generation("I would rather not.", Finish.stop, TokenUsage(10, 5, 1), "model")

    with pytest.raises(LlmOutputInvalid, match="no JSON object"):
        await made_with(Watched(engine_model(4096), before), chatter(minutes=5))


async def test_a_model_that_never_ends_is_given_up_after_a_few_calls():
    def before(request):
        return Generation("{", Finish.length, TokenUsage(1400, request.max_tokens, 1), "model")

    model = Watched(engine_model(2048), before)
    with pytest.raises(LlmOutputInvalid, match="longer than the room"):
        await made_with(model, chatter(minutes=3))
    assert len(model.requests) < 50


async def test_the_schema_counts_where_it_is_part_of_the_prompt():
    apart, within = (
        Watched(engine_model(2048, provider))
        for provider in (LlmProvider.vllm, LlmProvider.anthropic)
    )
    for model in (apart, within):
        await made_with(model, chatter(minutes=30))
    for answer, request in zip(within.answers, within.requests, strict=True):
        [tokens] = await within.count_tokens([json.dumps(request.schema)])
        assert answer.usage.prompt_tokens + tokens + request.max_tokens <= 2048
    assert len(within.asked("notes")) > len(apart.asked("notes"))


async def test_tokens_are_counted_in_few_calls():
    model = Watched(engine_model(2048))
    made = await made_with(model, chatter(minutes=120))
    assert len(made.sections) > 20
    assert len(model.counted) < 30


async def test_progress_is_told_by_stage():
    told = Told()
    await made_with(engine_model(2048), chatter(minutes=60), progress=told)
    assert {stage for stage, _, _ in told.steps} == set(SHARE)
    assert sum(SHARE.values()) == pytest.approx(1)
    done = {stage: done / total for stage, done, total in told.steps}
    assert done == dict.fromkeys(SHARE, 1.0)


WORDS = st.lists(st.sampled_from(["Kestrel", "sold", "4,200", "the", "漢字。", "end."]), min_size=1)
TALKS = st.lists(
    st.tuples(st.sampled_from(["Anna", "SPEAKER_01"]), WORDS.map(" ".join)),
    min_size=1,
    max_size=120,
)


@settings(deadline=None, max_examples=25)
@given(TALKS, st.sampled_from([1536, 2048, 4096]), st.integers(0, 400))
async def test_whatever_is_said_no_call_is_over_the_context(said, context, prompt_words):
    talk = conversation(*((who, 9.0 * i, 9.0 * i + 8, text) for i, (who, text) in enumerate(said)))
    prompt = replace(PROMPT, text="word " * prompt_words + "{speaker_data}\n{transcript}")
    model = Watched(engine_model(context))
    made = await made_with(model, talk, prompt)
    assert largest(model) <= context
    assert made.content.metadata.merge_rounds <= len(made.sections).bit_length()
    assert made.sections[-1].end == talk.utterances[-1].end


async def test_prompts_are_counted_as_they_are_sent():
    model = Watched(unlike_model(2048))
    made = await made_with(model, chatter(minutes=60))
    assert len(made.sections) > 5
    for request in model.requests:
        counts = await model.count_tokens([message.content for message in request.messages])
        assert sum(counts) + MARGIN + request.max_tokens <= 2048
