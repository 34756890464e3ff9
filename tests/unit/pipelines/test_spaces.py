"""A space for each model: no two share one, and the store takes every name."""

from hypothesis import given
from hypothesis import strategies as st

from db.vectors import checks
from pipelines.spaces import is_voice_space, voice_space

MODELS = st.text(max_size=200)
DIMENSIONS = st.integers(1, 1536)


@given(MODELS, DIMENSIONS)
def test_every_model_has_a_name_that_stores_take(model, dimension):
    space = voice_space(model, dimension)
    checks.checked(space)
    assert is_voice_space(space.name)
    assert space == voice_space(model, dimension)


@given(st.tuples(MODELS, DIMENSIONS), st.tuples(MODELS, DIMENSIONS))
def test_another_model_or_dimension_is_another_space(one, other):
    assert (voice_space(*one) == voice_space(*other)) == (one == other)


def test_names_that_look_alike_are_told_apart():
    names = {voice_space(model, 192).name for model in ("a/b", "a-b", "A/B", "a b", " a b")}
    assert len(names) == 5


def test_a_name_says_which_model_it_is():
    name = voice_space("campplus-voxceleb@1.0", 512).name
    assert name.startswith("voiceprints-campplus-voxceleb-1-0-")


@given(
    st.sampled_from(["", "voiceprints", "voiceprints-", "segments-0123456789ab", "voiceprints-x"])
)
def test_other_spaces_are_not_ours(name):
    assert not is_voice_space(name)
