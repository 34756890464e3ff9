"""Taking a person out of JSON: all of them, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.speakers.redaction import ERASED, Person

ZOE = Person(names=["Zoë", 'Q "Z"'], ids={"p1", "e1"}, voices={"v1"}, earlier={"v3"}, others={"p2"})

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["Zoë", "zoë said", "Bert", "p1", "v1", "Zoëtrope", 'about Q "Z".', ""])
)
facts = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["v1", "v2", "v3"]),
        "display_name": st.sampled_from([None, "Zoë", "ZOË", "Bert"]),
        "profile_id": st.sampled_from([None, "p1", "p2"]),
        "verified": st.booleans(),
        "text": st.just("Zoë, are you there?"),
    },
)
values = st.recursive(
    scalars | facts,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "speakers", "v1", "v3"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_words_are_gone_and_stay_gone(value):
    redacted = ZOE.words(value)
    assert ZOE.words(redacted) == redacted
    written = json.dumps(redacted, ensure_ascii=False)
    assert '"Zoë"' not in written
    assert "zoë said" not in written
    assert '"p1"' not in written


@given(values)
def test_facts_keep_their_shape_and_what_was_said(value):
    redacted = ZOE.facts(value)
    assert ZOE.facts(redacted) == redacted
    written = json.dumps(value, ensure_ascii=False)
    assert json.dumps(redacted, ensure_ascii=False).count("are you there") == written.count(
        "are you there"
    )


def test_facts_about_her_say_nobody():
    bert = {"id": "v2", "display_name": "Bert", "profile_id": "p2", "label": "B", "verified": True}
    nobody = {"display_name": None, "profile_id": None, "verified": False}
    for hers in (
        {**bert, "id": "v1"},
        {**bert, "profile_id": "p1"},
        {**bert, "display_name": "ZOË", "profile_id": None},
        {**bert, "id": "v3", "profile_id": None},
        # A profile that is gone: its voices were hers after it.
        {**bert, "id": "v3", "profile_id": "p9"},
    ):
        value = {"speakers": [hers, bert], "segments": [{"text": "Zoë!"}]}
        assert ZOE.facts(value) == {**value, "speakers": [{**hers, **nobody}, bert]}
    by_voice = {"v1": {"display_name": "Bert", "profile_id": "p2"}, "v2": bert}
    assert ZOE.facts(by_voice)["v1"] == {"display_name": None, "profile_id": None}
    assert ZOE.facts(by_voice)["v2"] == bert


def test_facts_about_another_living_person_stay():
    namesake = {"id": "v2", "display_name": "Zoë", "profile_id": "p2", "verified": True}
    assert ZOE.facts([namesake]) == [namesake]
    assert ZOE.facts({"v2": namesake}) == {"v2": namesake}
    # Somebody said of this voice at some time that it is hers; it is the other one's.
    assert ZOE.facts({"speakers": [{**namesake, "id": "v3"}]})["speakers"][0]["profile_id"] == "p2"
    told = {"display_name": "Bert", "profile_id": "p2"}
    assert ZOE.facts({"v3": told, "v1": told}) == {
        "v3": told,
        "v1": {"display_name": None, "profile_id": None},
    }


@pytest.mark.parametrize("name", ["File", "Completed", "Ebba", "id", "Profile"])
def test_what_machines_read_stays(name):
    mine, other = "0b1c2d3e-aaaa-4bbb-8ccc-0123456789ab", "0b1c2d3e-ebba-4bbb-8ccc-0123456789ab"
    person = Person(names=[name], ids={mine})
    value = {
        "file": {"id": other, "file_id": other, "file_ids": [other, other.upper()]},
        "completed": 1,
        "task_state": "completed",
        "status": "completed",
        "state": "completed",
        "kind": "file",
        "action": "completed",
        "stage": "completed",
        "content_type": "file/completed",
        "error_type": "file",
        "completed_at": "completed",
        "name_source": "profile",
        "path": f"/x/{other}.wav",
    }
    assert person.words(value) == value
    told = {"profile_id": mine, "ids": [mine, other], "message": f"{name}: /x/{mine}"}
    assert person.words(told) == {
        "profile_id": None,
        "ids": [None, other],
        "message": f"{ERASED}: /x/{ERASED}",
    }


def test_a_name_is_a_word_of_its_own():
    assert ZOE.words("a Zoë_2 Zoë") == f"a Zoë_2 {ERASED}"
    assert ZOE.words("Similar to Zoë (0.8)") == f"Similar to {ERASED} (0.8)"
    assert ZOE.words("Zoëtrope") == "Zoëtrope"
    assert ZOE.words("ZOË") == ERASED
    assert ZOE.words(["p1", "p10", {"Zoë": "Zoë"}]) == [None, "p10", {"Zoë": ERASED}]
