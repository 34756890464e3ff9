"""Words of transcripts: every text is found by its own words, whatever the script."""

from hypothesis import given
from hypothesis import strategies as st

from db.vocabulary import lexemes, question

TEXTS = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from("aé ß 'İ字会議の한국어ไทย٣-_:*&|!()\\\0"),
    ),
    max_size=60,
)


def matches(texts: list[str], asked: str) -> bool:
    """What `@@` says, by its definition in PostgreSQL's manual."""
    wanted = question(asked)
    if wanted is None:
        return True
    known = lexemes(texts)
    for term in wanted.split(" & "):
        word, prefix = term.removesuffix(":*").strip("'"), term.endswith(":*")
        if not any(k.startswith(word) if prefix else k == word for k in known):
            return False
    return True


@given(TEXTS)
def test_a_text_is_found_by_itself(text: str):
    assert matches([text], text)


@given(TEXTS)
def test_nothing_in_a_question_can_end_its_quotation(text: str):
    for term in (question(text) or "").split(" & "):
        word = term.removesuffix(":*")
        assert not word or (word[0] == word[-1] == "'" and not set(word[1:-1]) & set("'\\ &|"))


def test_beginnings_letter_case_and_forms_do_not_matter():
    texts = ["The Budgets, ＡＢＣ straße"]  # noqa: RUF001
    for asked in ("budget", "BUDGETS the", "abc", "STRASSE"):
        assert matches(texts, asked)
    assert not matches(texts, "udget")
    assert question("?! …") is None


def test_scripts_without_spaces_are_found_inside_a_run():
    texts = ["今日の会議は三時からです", "ขอบคุณครับ"]
    for asked in ("会議", "議", "会議は三時", "คุณ"):
        assert matches(texts, asked)
    assert not matches(texts, "議会")
