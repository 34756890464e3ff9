"""What models write can be kept: PostgreSQL takes no NUL and no half of a character."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pipelines.language.storing import storable

anything = st.text(alphabet=st.characters(codec=None, exclude_categories=()))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | anything,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
    max_leaves=10,
)


@given(values)
def test_everything_can_be_stored_and_the_rest_stays(value):
    found = storable(value)
    text = json.dumps(found, ensure_ascii=False)
    text.encode()
    assert "\\u0000" not in text
    assert storable(found) == found


def test_what_is_fine_stays_as_it_is():
    value = {"a": ["Ünal 予算", 1, None, True], "b": {"c": "\U0001f600"}}
    assert storable(value) == value
    assert storable(json.loads('"a\\u0000b\\ud800c"')) == "ab?c"
