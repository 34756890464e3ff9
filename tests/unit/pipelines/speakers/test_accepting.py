"""Who gets a name without being asked."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from db.queries.voice_matches import Nameless
from pipelines.speakers.accepting import MARGIN, choose

HIGH = 0.75
FILES = [uuid.UUID(int=n) for n in (1, 2)]
VOICES = [Nameless(uuid.UUID(int=10 + n), FILES[n % 2]) for n in range(5)]
PROFILES = [uuid.UUID(int=20 + n) for n in range(3)]
ADA, BOB, CAT = PROFILES
ONE = VOICES[0]

VOICE_IDS = [voice.id for voice in VOICES]
PAIRS = st.tuples(st.sampled_from(VOICE_IDS), st.sampled_from(PROFILES))
NEAR = st.dictionaries(PAIRS, st.floats(0.5, 1.0, width=32))
PRESENT = st.sets(st.tuples(st.sampled_from(FILES), st.sampled_from(PROFILES)))


@given(NEAR, st.sets(PAIRS), PRESENT)
def test_a_name_is_given_only_where_nothing_speaks_against_it(near, ruled_out, present):
    chosen = choose(VOICES, near, ruled_out, present, HIGH)
    file_of = {voice.id: voice.media_file_id for voice in VOICES}
    places = [(file_of[voice], profile) for voice, profile in chosen.items()]
    assert len(set(places)) == len(places)
    for voice, profile in chosen.items():
        similarity = near[voice, profile]
        others = [s for (v, p), s in near.items() if v == voice and p != profile]
        assert similarity >= HIGH
        assert all(similarity - other >= MARGIN for other in others)
        assert (voice, profile) not in ruled_out
        assert (file_of[voice], profile) not in present


@given(NEAR)
def test_of_two_voices_of_a_file_the_nearer_one_gets_it(near):
    chosen = choose(VOICES, near, (), (), HIGH)
    for voice, profile in chosen.items():
        for other in VOICES:
            beside = other.media_file_id == next(v.media_file_id for v in VOICES if v.id == voice)
            alone = len([1 for (v, _) in near if v == other.id]) == 1
            if beside and alone:
                assert near.get((other.id, profile), 0.0) <= near[voice, profile]


def test_a_clear_match_is_taken():
    near = {(ONE.id, ADA): 0.9, (ONE.id, BOB): 0.8}
    assert choose([ONE], near, (), (), HIGH) == {ONE.id: ADA}


def test_two_who_sound_alike_are_for_a_person_to_tell_apart():
    near = {(ONE.id, ADA): 0.9, (ONE.id, BOB): 0.88}
    assert choose([ONE], near, (), (), HIGH) == {}


def test_who_sounds_most_like_somebody_it_is_not_gets_no_other_name():
    near = {(ONE.id, ADA): 0.95, (ONE.id, BOB): 0.8}
    assert choose([ONE], near, {(ONE.id, ADA)}, (), HIGH) == {}


def test_nobody_is_twice_in_a_file():
    near = {(ONE.id, CAT): 0.95}
    assert choose([ONE], near, (), {(ONE.media_file_id, CAT)}, HIGH) == {}
