"""Taking a person out of JSON: all of them, and nothing else."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pipelines.speakers.redaction import ERASED, Person

ZOE = Person(names=["Zoë", 'Q "Z"'], ids={"p1", "e1"}, voices={"v1"})

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["Zoë", "zoë said", "Bert", "p1", "v1", "Zoëtrope", 'about Q "Z".', ""])
)
facts = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["v1", "v2"]),
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
        | st.dictionaries(st.sampled_from(["a", "speakers", "v1x", "Zoë"]), inner, max_size=4)
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
        {**bert, "display_name": "ZOË"},
    ):
        value = {"speakers": [hers, bert], "segments": [{"text": "Zoë!"}]}
        assert ZOE.facts(value) == {**value, "speakers": [{**hers, **nobody}, bert]}
    by_voice = {"v1": {"display_name": "Bert", "profile_id": "p2"}, "v2": bert}
    assert ZOE.facts(by_voice)["v1"] == {"display_name": None, "profile_id": None}
    assert ZOE.facts(by_voice)["v2"] == bert


def test_a_name_is_a_word_of_its_own():
    assert ZOE.words("Similar to Zoë (0.8)") == f"Similar to {ERASED} (0.8)"
    assert ZOE.words("Zoëtrope") == "Zoëtrope"
    assert ZOE.words("ZOË") == ERASED
    assert ZOE.words(["p1", "p10", {"Zoë": 1}]) == [None, "p10", {ERASED: 1}]
