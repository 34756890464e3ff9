"""Notes have true times and true speakers, and what was noted twice is told once."""

import pytest

from pipelines.language import duplicates
from pipelines.language.answers import NotesAnswer
from pipelines.language.bluf import ActionItem, KeyDecision
from pipelines.language.notes import noted
from pipelines.language.people import known, same_name
from pipelines.language.places import Places
from pipelines.language.reading import Line, lines_of
from pipelines.language.sections import Section
from tests.fixtures.language import conversation

LINES = tuple(
    lines_of(
        conversation(
            ("Anna Weiss", 100, 110, "Good morning. We sold 4,200 bicycles in Utrecht."),
            ("SPEAKER_01", 110, 120, "I will call the bank about the lease tomorrow."),
            ("Anna Weiss", 120, 130, "We decided to close the shop in Ghent."),
        )
    )
)
SECTION = Section(LINES)


def notes_of(**answer):
    return noted(4, SECTION, NotesAnswer.model_validate({"summary": "Talk. More.", **answer}))


def test_points_get_the_time_and_the_speaker_of_the_sentence():
    notes = notes_of(
        topics=[
            {"title": "Sales", "key_points": ["4,200 bicycles were sold in Utrecht", "Rain"]},
            {"title": "", "key_points": ["call the bank"]},
        ]
    )
    sales, bank = notes.topics
    assert (notes.number, notes.start, notes.end) == (4, 100, 130)
    assert 102 < sales.points[0].start < 106
    assert sales.points[0].shown == "4,200 bicycles were sold in Utrecht [01:42]"
    assert sales.points[1].shown == "Rain"
    assert sales.participants == ("Anna Weiss",)
    assert (bank.title, bank.participants, bank.start) == ("call the bank", ("SPEAKER_01",), 110)


def test_a_section_without_topics_is_one():
    [topic] = notes_of().topics
    assert (topic.title, topic.start, topic.end) == ("Talk. More.", 100, 130)


def test_a_time_outside_the_section_is_put_into_it():
    actions = [
        {"item": "Etwas anderes", "time": "02:00"},
        {"item": "Etwas anderes", "time": "45:00"},
        {"item": "Etwas anderes", "time": "soon"},
    ]
    notes = notes_of(action_items=actions)
    assert [item.mentioned_timestamp for item in notes.action_items] == [
        "[02:00]",
        "[01:40]",
        "[01:40]",
    ]


def test_what_is_said_beats_the_time_that_a_model_gives():
    [decision] = notes_of(
        decisions=[{"decision": "close shop in Ghent", "time": "01:40"}]
    ).decisions
    assert (decision.timestamp, decision.start) == ("[02:00]", 120)


@pytest.mark.parametrize(
    ("said", "owner"),
    [
        ("I", "SPEAKER_01"),
        ("anna weiss", "Anna Weiss"),
        ("Anna", "Anna Weiss"),
        ("Dana", "Dana"),
        ("N/A", None),
        ("", None),
    ],
)
def test_owners_are_who_is_meant(said, owner):
    [item] = notes_of(
        action_items=[{"item": "call the bank about the lease", "owner": said}]
    ).action_items
    assert item.owner == owner


def test_contributions_of_people_who_do_not_speak_are_left_out():
    contributions = [
        {"speaker": "speaker_01", "contribution": "Calls the bank."},
        {"speaker": "SPEAKER_02", "contribution": "Invented."},
    ]
    [one] = notes_of(contributions=contributions).contributions
    assert one.speaker == "SPEAKER_01"


def test_empty_items_are_left_out():
    notes = notes_of(
        action_items=[{"item": ""}], decisions=[{"decision": " "}], follow_ups=["", "a"]
    )
    assert (notes.action_items, notes.decisions, notes.follow_ups) == ((), (), ("a",))


def test_places_are_found_in_scripts_without_spaces():
    lines = [Line("A", 0, 5, "今天天气很好。"), Line("B", 5, 9, "我们决定关闭根特的商店。")]
    assert Places(lines).find("决定关闭商店").start == 5
    assert Places(lines).find("买新的汽车") is None


def test_the_first_of_several_places_is_taken():
    lines = [Line("A", 0, 5, "We sell tea."), Line("B", 5, 9, "We sell tea.")]
    assert Places(lines).find("sell tea").start == 0


def test_names_with_other_numbers_are_others():
    assert known("SPEAKER_02", ["SPEAKER_01"]) is None
    assert known("speaker_01", ["SPEAKER_01", "SPEAKER_11"]) == "SPEAKER_01"
    assert known("Anna", ["Anna Weiss", "Anna Kurz"]) is None
    assert same_name("Jon Smith", "John Smith")
    assert not same_name("Ann", "Joanna")
    assert not same_name("", "Anna")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Send the report to the board.", "send the report to the board"),
        ("The board has to see the report soon.", "The board has to see that report soon."),
    ],
)
def test_alike_statements_are_one(first, second):
    assert duplicates.same(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("The plant made 4711 tonnes last year.", "The plant made 4712 tonnes last year."),
        ("We will buy the plant in Ghent.", "We will not buy the plant in Ghent."),
        ("We can buy the plant in Ghent now.", "We can't buy the plant in Ghent now."),
        ("Audits at Hulmor found open cases.", "Audits at Hulgor found open cases."),
        ("Wir kaufen das Werk in Gent nun.", "Wir kaufen kein Werk in Gent nun."),
        ("Call the bank.", "Call the landlord."),
    ],
)
def test_other_figures_names_or_a_not_make_other_statements(first, second):
    assert not duplicates.same(first, second)


def action(item, start, **fields):
    return ActionItem(item=item, start=start, mentioned_timestamp="[00:00]", **fields)


def test_tasks_noted_twice_are_one_with_all_that_is_known():
    tasks = [
        action("Send the report", 20, due_date="Friday", priority="high"),
        action("send the report.", 10, owner="Anna Weiss", due_date="by Friday"),
        action("Send the report", 30, owner="Bob", due_date="by Friday"),
        action("Send the report", 40, owner="Anna", due_date="by March 3"),
    ]
    first, bob, later = duplicates.actions(tasks)
    assert (first.start, first.owner, first.due_date, first.priority) == (
        10,
        "Anna Weiss",
        "by Friday",
        "high",
    )
    assert (bob.owner, later.due_date) == ("Bob", "by March 3")


def test_decisions_noted_twice_are_one():
    def decision(text, start, **fields):
        return KeyDecision(decision=text, start=start, timestamp="[00:00]", **fields)

    [one] = duplicates.decisions(
        [
            decision("Close the shop.", 9, impact="Savings", stakeholders=("Anna",)),
            decision("close the shop", 5, stakeholders=("Bob", "anna")),
        ]
    )
    assert (one.start, one.impact, one.stakeholders) == (5, "Savings", ("Bob", "anna"))


def test_few_of_many_are_evenly_spread():
    assert duplicates.spread(range(100), 4) == [0, 25, 50, 75]
    assert duplicates.spread([1, 2], 4) == [1, 2]
