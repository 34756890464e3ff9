"""Who a voice may be, of candidates: one line a person, nobody who was ruled out."""

import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.models import NameSource, Speaker
from db.queries.suggestions import Candidate, RuledOut
from pipelines.speakers.calibration import UNMEASURED, Level
from pipelines.speakers.suggestions import (
    Prediction,
    Source,
    SpeakerStatus,
    Suggestion,
    consolidate,
    describe,
    with_predictions,
)

ME = uuid.UUID(int=1)
PROFILES = {uuid.UUID(int=10 + n): f"Person {n}" for n in range(4)}
VOICES = [uuid.UUID(int=20 + n) for n in range(6)]
NAMES = ["Person 0", "person 1", "Guest", "GUEST", "SPEAKER_03", "speaker_1", "Ünal", "ünal"]
ANNA, BERT = uuid.uuid4(), uuid.uuid4()
FILE = uuid.uuid4()

cosines = st.floats(-1, 1, width=32)
by_profile = st.builds(
    lambda one, cosine: Candidate(ME, one, PROFILES[one], cosine),
    st.sampled_from([*PROFILES]),
    cosines,
)
by_voice = st.builds(
    lambda profile, name, cosine, voice: Candidate(
        ME, profile, PROFILES[profile] if profile else name, cosine, voice, FILE, "talk.flac"
    ),
    st.none() | st.sampled_from([*PROFILES]),
    st.sampled_from(NAMES),
    cosines,
    st.sampled_from(VOICES),
)
found = st.lists(by_profile | by_voice, max_size=12)
ruled_out = st.lists(
    st.builds(
        lambda profile, name, voice: RuledOut(
            ME, profile, PROFILES[profile] if profile else name, voice
        ),
        st.none() | st.sampled_from([*PROFILES]),
        st.none() | st.sampled_from(NAMES),
        st.none() | st.sampled_from(VOICES),
    ),
    max_size=4,
)
least = st.floats(0, 1)
predictions = st.lists(
    st.builds(
        lambda profile, name, confidence: Prediction(
            PROFILES[profile] if profile else name, confidence, "He says so.", profile
        ),
        st.none() | st.sampled_from([*PROFILES]),
        st.sampled_from(NAMES),
        st.floats(0.5, 1),
    ),
    max_size=6,
)


def anna(cosine: float = 0.8) -> Candidate:
    return Candidate(ME, ANNA, "Anna", cosine)


def heard(name: str, cosine: float, profile: uuid.UUID | None = None) -> Candidate:
    return Candidate(ME, profile, name, cosine, uuid.uuid4(), FILE, "talk.flac")


def of(*candidates: Candidate, excluded: tuple[RuledOut, ...] = ()) -> list[Suggestion]:
    return list(consolidate(candidates, excluded, UNMEASURED, UNMEASURED.medium))


@given(found, ruled_out, least)
def test_everybody_is_suggested_once_and_best_first(
    candidates: list[Candidate], excluded: list[RuledOut], threshold: float
) -> None:
    got = consolidate(candidates, excluded, UNMEASURED, threshold)
    profiles = [one.profile_id for one in got if one.profile_id]
    assert len(profiles) == len(set(profiles))
    names = [one.name.lower() for one in got]
    assert len(names) == len(set(names))
    for group in (got[: len(profiles)], got[len(profiles) :]):
        assert [one.similarity for one in group] == sorted(
            (one.similarity for one in group), reverse=True
        )
    assert all(one.profile_id for one in got[: len(profiles)])


@given(found, ruled_out, least)
def test_nobody_who_was_ruled_out_is_suggested(
    candidates: list[Candidate], excluded: list[RuledOut], threshold: float
) -> None:
    got = consolidate(candidates, excluded, UNMEASURED, threshold)
    assert not {one.profile_id for one in got if one.profile_id} & {
        one.profile_id for one in excluded
    }
    assert not {one.speaker_id for one in got if one.speaker_id} & {
        one.voice_id for one in excluded
    }
    plain = {one.name.lower() for one in got if one.profile_id is None}
    assert not plain & {one.name.lower() for one in excluded if one.name}
    assert not any(one.name.lower().startswith("speaker_") for one in got)
    assert all(one.similarity >= threshold for one in got)


@given(found, ruled_out, least, st.randoms(use_true_random=False))
def test_the_order_of_candidates_does_not_matter(
    candidates: list[Candidate], excluded: list[RuledOut], threshold: float, random: object
) -> None:
    shuffled = list(candidates)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first = consolidate(candidates, excluded, UNMEASURED, threshold)
    assert [replace(one, name=one.name.lower(), reason="") for one in first] == [
        replace(one, name=one.name.lower(), reason="")
        for one in consolidate(shuffled, excluded, UNMEASURED, threshold)
    ]


@given(found, least)
def test_each_suggestion_has_the_best_cosine_of_its_person(
    candidates: list[Candidate], threshold: float
) -> None:
    for one in consolidate(candidates, (), UNMEASURED, threshold):
        if one.profile_id is not None:
            its = [c.similarity for c in candidates if c.profile_id == one.profile_id]
            assert one.similarity >= max(its)
        assert one.level is UNMEASURED.level(one.similarity)


def test_a_profile_and_its_voices_are_one_suggestion() -> None:
    (one,) = of(anna(0.8), heard("Anna", 0.9, ANNA), heard("anna", 0.6))
    assert (one.profile_id, one.name, one.similarity) == (ANNA, "Anna", 0.9)
    assert (one.source, one.matches, one.sample_file_id) == (Source.voice, 3, FILE)
    assert one.reason == "Very similar to Anna in talk.flac (0.90); 3 matches in all"


def test_a_voiceprint_alone_has_no_sample() -> None:
    (one,) = of(anna(0.8))
    assert (one.source, one.speaker_id, one.sample_file_id) == (Source.profile, None, None)
    assert one.reason == "Similar to the profile Anna (0.80)"


@pytest.mark.parametrize(
    ("cosine", "wording", "level"),
    [
        (0.96, "Nearly the same voice as", Level.high),
        (0.86, "Very similar to", Level.high),
        (0.76, "Similar to", Level.high),
        (0.6, "Somewhat similar to", Level.medium),
    ],
)
def test_the_reason_says_how_similar(cosine: float, wording: str, level: Level) -> None:
    (one,) = of(anna(cosine))
    assert one.reason.startswith(f"{wording} the profile Anna")
    assert one.level is level


def test_what_is_high_for_a_model_is_never_somewhat_similar() -> None:
    meaning = replace(UNMEASURED, high=0.4, medium=0.2)
    (one,) = consolidate([anna(0.5)], (), meaning, meaning.medium)
    assert one.reason.startswith("Similar to")


def test_profiles_come_before_better_names() -> None:
    got = of(heard("Guest", 0.99), anna(0.6), Candidate(ME, BERT, "Bert", 0.7))
    assert [one.name for one in got] == ["Bert", "Anna", "Guest"]


def test_a_voice_kept_apart_from_a_verified_one_is_not_that_person() -> None:
    other = heard("Anna", 0.9, ANNA)
    apart = RuledOut(ME, ANNA, "Anna", other.voice_id)
    assert of(anna(), other, heard("anna", 0.8), excluded=(apart,)) == []


def test_a_voice_kept_apart_from_one_that_nobody_verified_may_be_that_person() -> None:
    other = heard("Anna", 0.9, ANNA)
    (one,) = of(anna(0.8), other, excluded=(RuledOut(ME, None, None, other.voice_id),))
    assert one.similarity == 0.8


def test_who_it_is_already_is_not_suggested() -> None:
    got = consolidate(
        [anna(), heard("anna", 0.9)], (), UNMEASURED, 0.5, own_profile=ANNA, own_name="Anna"
    )
    assert got == []


def test_a_name_without_a_profile_may_be_the_profile_of_that_name() -> None:
    (one,) = consolidate([anna(), heard("anna", 0.9)], (), UNMEASURED, 0.5, own_name="ANNA")
    assert (one.profile_id, one.matches) == (ANNA, 1)


def test_the_status_of_a_speaker() -> None:
    assert describe(Speaker(verified=True, display_name="Anna"), ()) == (
        SpeakerStatus.verified,
        "Verified as Anna",
    )
    by_voice = Speaker(verified=False, display_name="Anna", name_source=NameSource.voice)
    assert describe(by_voice, ()) == (
        SpeakerStatus.suggested,
        "Recognised as Anna - click to verify",
    )
    unknown = Speaker(verified=False)
    assert describe(unknown, of(anna(0.6), heard("Guest", 0.8))) == (
        SpeakerStatus.suggested,
        "High confidence match - click to verify",
    )
    assert describe(unknown, of(anna(0.6))) == (
        SpeakerStatus.suggested,
        "Medium confidence match - review needed",
    )
    assert describe(unknown, ()) == (SpeakerStatus.unverified, "Needs identification")


def says(name: str, confidence: float = 0.9, profile: uuid.UUID | None = None) -> Prediction:
    return Prediction(name, confidence, "She says so.", profile, f"This is {name}.", 65.0)


@given(found, predictions, ruled_out, least)
def test_words_change_nothing_of_what_sounds_alike(
    candidates: list[Candidate],
    said: list[Prediction],
    excluded: list[RuledOut],
    threshold: float,
) -> None:
    alike = consolidate(candidates, excluded, UNMEASURED, threshold)
    both = with_predictions(alike, said, excluded)
    by_sound = [one for one in both if one.source is not Source.llm]
    assert {(one.name, one.similarity, one.level, one.source) for one in by_sound} == {
        (one.name, one.similarity, one.level, one.source) for one in alike
    }
    levels = [one.level for one in by_sound if one.profile_id]
    ranks = [[Level.high, Level.medium, Level.low].index(one) for one in levels]
    assert ranks == sorted(ranks)
    alone = [one for one in both if one.source is Source.llm]
    # Behind the others, the surest first; without a cosine.
    assert both[len(by_sound) :] == alone
    assert all((one.similarity, one.level, one.matches) == (None, None, 0) for one in alone)
    assert [one.confidence for one in alone] == sorted(
        (one.confidence for one in alone), reverse=True
    )
    names = [one.name.lower() for one in both]
    assert len(names) == len(set(names))
    # Nobody who was ruled out comes in by words.
    assert not {one.profile_id for one in alone if one.profile_id} & {
        one.profile_id for one in excluded
    }
    assert not {one.name.lower() for one in alone} & {
        one.name.lower() for one in excluded if one.name
    }
    assert not any(one.name.lower().startswith("speaker_") for one in alone)


def test_a_prediction_of_whom_it_sounds_like_is_told_beside_that() -> None:
    (one,) = with_predictions(of(anna(0.8)), [says("ANNA")], ())
    assert (one.name, one.similarity, one.level, one.source) == (
        "Anna",
        0.8,
        Level.high,
        Source.profile,
    )
    assert one.confidence == 0.9
    assert one.reason == (
        "Similar to the profile Anna (0.80); and by what is said: “This is ANNA.” (01:05)"
    )


def test_a_prediction_of_somebody_else_stands_by_itself() -> None:
    one, other = with_predictions(of(anna(0.8)), [says("Bert", 0.7, BERT)], ())
    assert one.confidence is None
    assert (other.profile_id, other.name, other.source) == (BERT, "Bert", Source.llm)
    assert (other.similarity, other.level, other.speaker_id) == (None, None, None)
    assert (other.confidence, other.reason) == (0.7, "“This is Bert.” (01:05)")


def test_between_voices_that_are_as_much_alike_words_decide() -> None:
    alike = of(anna(0.62), Candidate(ME, BERT, "Bert", 0.6))
    assert [one.name for one in alike] == ["Anna", "Bert"]
    assert [one.name for one in with_predictions(alike, [says("bert")], ())] == ["Bert", "Anna"]
    # But not between levels.
    alike = of(anna(0.9), Candidate(ME, BERT, "Bert", 0.6))
    assert [one.name for one in with_predictions(alike, [says("bert")], ())] == ["Anna", "Bert"]


def test_whom_a_person_ruled_out_no_model_suggests() -> None:
    by_profile = RuledOut(ME, BERT, "Bert")
    assert with_predictions((), [says("Bert", profile=BERT)], [by_profile]) == []
    renamed = RuledOut(ME, BERT, "Albert")
    assert with_predictions((), [says("Bert", profile=BERT)], [renamed]) == []
    by_name = RuledOut(ME, None, "bert")
    assert with_predictions((), [says("Bert")], [by_name]) == []
    assert with_predictions((), [says("Bert")], (), own_name="BERT") == []


def test_a_prediction_without_a_quote_says_the_models_reason() -> None:
    (one,) = with_predictions((), [Prediction("Anna", 0.6, "They call her so.")], ())
    assert one.reason == "They call her so."


def test_the_status_of_a_speaker_whom_words_name() -> None:
    unknown = Speaker(verified=False)
    by_words = with_predictions((), [says("Anna")], ())
    assert describe(unknown, by_words) == (
        SpeakerStatus.suggested,
        "Suggested by what is said - review needed",
    )
    # What sounds alike says more.
    both = with_predictions(of(anna(0.8)), [says("Anna")], ())
    assert describe(unknown, both)[1] == "High confidence match - click to verify"
