"""Words of texts and of queries, and where they are marked, without a store."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.keywords import postgres_vocabulary
from db.keywords.marks import Pattern, Step
from db.keywords.postgres_vocabulary import Term, distance, errors_forgiven, steps, terms
from db.keywords.words import said, spelled, tokens


def words(text: str) -> list[str]:
    return [token.word for token in tokens(text)]


class TestTokens:
    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("Don't stop!", ["don", "t", "stop"]),
            ("CAFÉ cafe\u0301", ["cafe", "cafe"]),
            ("Straße Łódź Ærø", ["strasse", "lodz", "aero"]),
            ("GPU学習です", ["gpu", "学習", "習で", "です", "す"]),
            ("学", ["学"]),
            ("snake_case 3.14", ["snake", "case", "3", "14"]),
            ("हिन्दी भाषा।", ["हिन्दी", "भाषा"]),
            ("مُحَمَّد أهلاً", ["محمد", "اهلا"]),
            ("party 🎉🎉", ["party", "🎉", "🎉"]),
            ("ＦＵＬＬ", ["full"]),  # noqa: RUF001 - they look like others
            ("\u0640 ' \" \\ \x00 \ud800 -- %", []),
        ],
    )
    def test_each(self, text, wanted):
        assert words(text) == wanted

    @given(st.text())
    def test_no_text_makes_a_word_that_ends_its_quotation(self, text):
        for token in tokens(text):
            assert token.word
            assert not set(token.word) & {"'", "\\", "\x00"}
            assert 0 <= token.start < token.end <= len(text)

    @given(st.text() | st.text(alphabet=st.characters(max_codepoint=0x24F)))
    def test_letters_in_their_places_have_the_same_words(self, text):
        letters = spelled(text)
        if letters is not None:
            assert len(letters) == len(text)
            assert words(letters) == words(text)
        assert said(text) == words(text)


class TestTerms:
    def test_the_last_word_may_be_a_beginning(self):
        assert terms(["Cash", "flow"]) == [Term(("cash",)), Term(("flow",), open_ended=True)]

    def test_a_run_is_its_pairs_and_one_character_a_beginning(self):
        assert terms(["機械学習", "学"]) == [
            Term(("機械", "械学", "学習")),
            Term(("学",), open_ended=True),
        ]

    def test_places_count_characters_of_runs(self):
        assert steps("GPUで学習 する") == [
            (Term(("gpu",)), 0),
            (Term(("で学", "学習")), 1),
            (Term(("する",)), 4),
        ]

    def test_a_long_query_is_cut(self):
        many = [f"word{n}" for n in range(1000)]
        assert len(terms(many)) == postgres_vocabulary.MOST_TERMS
        assert len(terms(["same"] * 1000)) <= 2


class TestDistance:
    @pytest.mark.parametrize(
        ("one", "other", "errors"),
        [
            ("receive", "receive", 0),
            ("recieve", "receive", 1),
            ("ercieve", "receive", 2),
            ("kubernets", "kubernetes", 1),
            ("abc", "", 3),
            ("", "abc", 3),
            ("ab", "ba", 1),
            ("abcd", "acbd", 1),
            ("kitten", "sitting", 3),
        ],
    )
    def test_each(self, one, other, errors):
        assert distance(one, other) == distance(other, one) == errors

    @pytest.mark.parametrize(("word", "errors"), [("four", 0), ("fives", 1), ("n" * 9, 2)])
    def test_long_words_may_have_more(self, word, errors):
        assert errors_forgiven(word) == errors


class TestMarks:
    PATTERN = Pattern(frozenset({"fox", "cafe"}), ("laz",), ((Step("quick", 0), Step("brown", 1)),))

    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("The quick, brown fox; foxes.", ["quick, brown", "fox"]),
            ("laziest lazy la", ["laziest", "lazy"]),
            ("“Café” - quick_brown", ["Café", "quick_brown"]),
            ("cafe\u0301 Straße fox", ["cafe\u0301", "fox"]),
            ("quick and brown", []),
            ("", []),
        ],
    )
    def test_each(self, text, wanted):
        assert [text[start:end] for start, end in self.PATTERN.spans(text)] == wanted

    def test_both_ways_mark_the_same(self):
        choice = random.Random(3)
        pieces = ["quick", "brown", "Café", "lazy", "fox", "foxes", " ", ", ", "“", "_", "é", "1"]
        for _ in range(500):
            text = "".join(choice.choices(pieces, k=12))
            # A script without spaces has to be read word by word.
            assert self.PATTERN.spans(text) == self.PATTERN.spans(text + " 学")

    def test_of_pairs_what_was_asked_for_is_marked(self):
        one = Pattern(beginnings=("习",))
        assert one.spans("学习和学习") == ((1, 2), (4, 5))
        run = Pattern(sequences=((Step("深度", 0), Step("度学", 1), Step("学习", 2)),))
        assert run.spans("深度学习和学习") == ((0, 4),)
