"""What the fake language model says: it quotes from the prompt, to whatever schema it is given."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Schema = Mapping[str, Any]

NOTED_BEFORE = re.compile(r"<(already_noted)>.*?</\1>", re.DOTALL)
MATERIAL = re.compile(r"<(transcript|notes)>\n(.*?)\n?</\1>", re.DOTALL)
LINE = re.compile(r"^([^\[\n]+) \[((?:\d+:)?\d+:\d\d)\] (.+)$", re.MULTILINE)
NUMBERED = re.compile(r"^(\d+)\. (.+)$", re.MULTILINE)
HEADING = re.compile(r"^(?:Sections? \d.*|Topics:|Outcomes:|- .*)$", re.MULTILINE)
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])")
SHARE = re.compile(r"(?:^|[;\n]|Speakers:) ?([^;:\n]+): \d+ %")

FIGURE = re.compile(r"\d[\d.,:]*")
NAME = re.compile(r"(?<=[\w,;] )[A-Z][\w-]+(?: [A-Z][\w-]+)*")
LONG_WORD = re.compile(r"[^\W\d_]{6,}")
ACTION = re.compile(
    r"\b(I|[A-Z][\w'-]+(?: [A-Z][\w'-]+)?) (?:will|shall|is going to) ([^.?!]+) "
    r"((?:by|before|until) [^.?!]+)"
)
DUE = re.compile(
    r"day\b|tomorrow|tonight|noon|week|month|quarter|end of|\d|January|February|March|April|May|"
    r"June|July|August|September|October|November|December",
    re.IGNORECASE,
)
DECISION = re.compile(r"\bwe (?:have )?(?:decided|agreed)\b", re.IGNORECASE)
INTRODUCTION = re.compile(
    r"(?i:\bI am|\bI'm|\bthis is|\bmy name is) ([A-Z][a-z]+(?: [A-Z][a-z]+)?)"
)
THANKS = re.compile(r"(?i:\bthank you|\bthanks),? ([A-Z][a-z]+)\b")
ASKED = re.compile(r"You are asked about: (.*?)\. ", re.DOTALL)
EXISTING = re.compile(r"Existing (tags|collections): (.*?)\.(?:\s|$)", re.DOTALL)
GOOD = re.compile(r"\b(?:good|great|strong|pleased|happy|growth|record)\b", re.IGNORECASE)
BAD = re.compile(r"\b(?:bad|loss|losses|problem|decline|weak|worried|delay)\b", re.IGNORECASE)

SENTENCES_PER_TOPIC = 10
FIGURE_WEIGHT = 3


@dataclass(frozen=True)
class Sentence:
    """A sentence of the material; speaker and time are empty where it has none."""

    text: str
    speaker: str = ""
    time: str = ""

    @cached_property
    def weight(self) -> tuple[float, int]:
        """How much of it is worth keeping, figures more than names; and how much that is."""
        facts = FIGURE_WEIGHT * len(FIGURE.findall(self.text)) + len(NAME.findall(self.text))
        return facts / len(self.text.split()), facts


class Prompt:
    """A prompt, read."""

    def __init__(self, messages: Sequence[Mapping[str, str]]) -> None:
        asked = [message["content"] for message in messages if message["role"] == "user"]
        self.user = NOTED_BEFORE.sub("", "\n".join(asked))
        blocks = {found[1]: found[2] for found in MATERIAL.finditer(self.user)}
        self.material = "\n".join(blocks.values()) if blocks else self.user
        self.beside = MATERIAL.sub("", self.user)
        self.has_lines = "notes" not in blocks

    @cached_property
    def sentences(self) -> list[Sentence]:
        """In order."""
        lines = LINE.findall(self.material) if self.has_lines else []
        if not lines:
            prose = HEADING.sub("", NUMBERED.sub("", self.material))
            lines = [("", "", line) for line in prose.splitlines() if line.strip()]
        return [
            Sentence(text.strip(), speaker, time)
            for speaker, time, said in lines
            for text in SENTENCE_END.split(said)
            if text.strip()
        ]

    @cached_property
    def titles(self) -> list[tuple[int, str]]:
        """What is numbered."""
        return [(int(number), title) for number, title in NUMBERED.findall(self.material)]

    @cached_property
    def speakers(self) -> list[str]:
        """Those of the lines, and those that the prompt names with their share."""
        named = [name.strip() for name in SHARE.findall(self.beside)]
        return list(dict.fromkeys([*named, *(one.speaker for one in self.sentences)]))

    def existing(self, kind: str) -> list[str]:
        """Names that the prompt says exist."""
        for found in EXISTING.finditer(self.beside):
            if found[1] == kind:
                return [name.strip() for name in found[2].split(",")]
        return []


def answer(messages: Sequence[Mapping[str, str]], schema: Schema | None) -> Any:
    """What it says to these messages: a value of the schema, or text."""
    prompt = Prompt(messages)
    if schema is None:
        return " ".join(one.text for one in salient(prompt.sentences, 3))
    return filled("", schema, prompt, prompt.sentences)


def filled(name: str, schema: Schema, prompt: Prompt, sentences: Sequence[Sentence]) -> Any:
    """A value of the schema, for a property of this name, from these sentences."""
    match schema.get("type"):
        case "object":
            fields = schema["properties"].items()
            return {field: filled(field, of, prompt, sentences) for field, of in fields}
        case "array":
            values = listed(name, schema["items"], prompt, sentences, schema.get("maxItems", 5))
            return [shaped(schema["items"], value) for value in values]
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case "string" if "enum" in schema:
            return chosen(name, schema["enum"], sentences)
        case _:
            most = schema.get("maxLength", 400)
            return clipped(prose(sentences, most), most)


def listed(
    name: str, item: Schema, prompt: Prompt, sentences: Sequence[Sentence], most: int
) -> list[Any]:
    """The items of a list: by the fields that they have, else by the list's name."""
    fields = item.get("properties", {})
    for field, make in LISTS.items():
        if field in fields:
            return make(name, item, prompt, sentences, most)[:most]
    if item.get("type") != "string":
        return [number for number, _ in prompt.titles][:most]
    if name == "follow_ups":
        return [one.text for one in sentences if one.text.endswith("?")][:most]
    return [one.text for one in salient(sentences, most)]


def shaped(schema: Schema, value: Any) -> Any:
    """The value as guided decoding would have it: texts no longer than they may be."""
    match value:
        case dict():
            fields = schema["properties"].items()
            return {name: shaped(of, value.get(name, blank(of))) for name, of in fields}
        case list():
            return [shaped(schema["items"], one) for one in value[: schema.get("maxItems")]]
        case str():
            return clipped(value, schema.get("maxLength", len(value)))
        case _:
            return value


def blank(schema: Schema) -> Any:
    """The least value of a schema."""
    if "enum" in schema:
        return schema["enum"][0]
    return {"string": "", "array": [], "object": {}, "boolean": False}.get(schema["type"], 0)


def topics(
    _name: str, item: Schema, _prompt: Prompt, sentences: Sequence[Sentence], most: int
) -> list[Any]:
    """The sentences in stretches, each with what is worth keeping of it."""
    count = max(1, min(most, len(sentences) // SENTENCES_PER_TOPIC))
    points = item["properties"]["key_points"].get("maxItems", 5)
    found = []
    for number in range(count):
        start, end = (len(sentences) * at // count for at in (number, number + 1))
        if stretch := sentences[start:end]:
            found.append(
                {
                    "title": title(stretch),
                    "summary": prose(stretch, 200),
                    "key_points": [one.text for one in salient(stretch, points)],
                    "time": stretch[0].time,
                }
            )
    return found


def groups(
    _name: str, item: Schema, prompt: Prompt, sentences: Sequence[Sentence], most: int
) -> list[Any]:
    """Titles that share a long word; those that share none it forgets, as real models do."""
    members = item["properties"]["members"].get("maxItems", 100)
    free = dict(prompt.titles)
    found = []
    words = Counter(word for text in free.values() for word in set(LONG_WORD.findall(text)))
    for word, _ in words.most_common(most):
        numbers = [number for number, text in free.items() if word in text][:members]
        if numbers:
            found.append({"title": free[numbers[0]], "members": numbers})
            found[-1]["summary"] = prose(sentences, 100)
        for number in numbers:
            del free[number]
    if not found and free:
        number, text = next(iter(free.items()))
        found.append({"title": text, "members": [number], "summary": prose(sentences, 100)})
    return found


def actions(
    _name: str, _item: Schema, _prompt: Prompt, sentences: Sequence[Sentence], _most: int
) -> Iterator[Any]:
    """What somebody will do by some time; the clearest first."""
    for one in sentences:
        found = ACTION.search(one.text)
        if found and DUE.search(found[3]):
            yield {
                "item": found[2],
                "owner": one.speaker if found[1] == "I" else found[1],
                "due_date": found[3],
                "priority": "high" if "urgent" in one.text else "medium",
                "time": one.time,
            }


def decisions(
    _name: str, _item: Schema, _prompt: Prompt, sentences: Sequence[Sentence], _most: int
) -> Iterator[Any]:
    """What "we decided"."""
    return (
        {"decision": one.text, "stakeholders": [one.speaker], "time": one.time}
        for one in sentences
        if DECISION.search(one.text)
    )


def contributions(
    _name: str, _item: Schema, _prompt: Prompt, sentences: Sequence[Sentence], _most: int
) -> Iterator[Any]:
    """Of everybody who speaks the weightiest sentence."""
    for speaker in dict.fromkeys(one.speaker for one in sentences):
        said = [one for one in sentences if one.speaker == speaker]
        yield {"speaker": speaker, "contribution": salient(said, 1)[0].text}


def roles(
    _name: str, _item: Schema, prompt: Prompt, _sentences: Sequence[Sentence], _most: int
) -> Iterator[Any]:
    """Who says most, and who else there is."""
    for place, speaker in enumerate(filter(None, prompt.speakers)):
        yield {"speaker": speaker, "role": "participant" if place else "main speaker"}


def people(
    _name: str, _item: Schema, prompt: Prompt, sentences: Sequence[Sentence], _most: int
) -> Iterator[Any]:
    """Who introduces themselves, and who is thanked right after speaking."""
    asked = ASKED.search(prompt.beside)
    labels = {label.strip() for label in asked[1].split(",")} if asked else set()
    before = ""
    for one in sentences:
        told, thanked = INTRODUCTION.search(one.text), THANKS.search(one.text)
        if told and one.speaker in labels:
            yield person(one.speaker, told[1], 0.9, "self_introduction", one.text)
        if thanked and before in labels and before != one.speaker:
            yield person(before, thanked[1], 0.6, "addressed", one.text)
        before = one.speaker


def person(label: str, name: str, confidence: float, kind: str, quote: str) -> dict[str, Any]:
    """A prediction."""
    return {
        "label": label,
        "evidence": [{"kind": kind, "quote": quote}],
        "reasoning": f"{kind}: {quote}",
        "name": name,
        "confidence": confidence,
    }


def labels(
    name: str, _item: Schema, prompt: Prompt, sentences: Sequence[Sentence], most: int
) -> Iterator[Any]:
    """Names that exist and are spoken of, then what is spoken of most."""
    text = prompt.material.casefold()
    for one in prompt.existing(name):
        if one.casefold() in text:
            yield {"name": one, "confidence": 0.8, "rationale": f"{one} is spoken of."}
    words = Counter(word.lower() for one in sentences for word in LONG_WORD.findall(one.text))
    for word, times in words.most_common(most):
        yield {"name": word, "confidence": 0.6, "rationale": f"It is said {times} times."}


Make = Callable[[str, Schema, Prompt, Sequence[Sentence], int], Iterable[Any]]


def _list(make: Make) -> Callable[[str, Schema, Prompt, Sequence[Sentence], int], list[Any]]:
    return lambda *arguments: list(make(*arguments))


LISTS = {
    "key_points": _list(topics),
    "members": _list(groups),
    "item": _list(actions),
    "decision": _list(decisions),
    "contribution": _list(contributions),
    "role": _list(roles),
    "evidence": _list(people),
    "rationale": _list(labels),
}
"""A field that items have, and what makes a list of such."""


def salient(sentences: Sequence[Sentence], most: int) -> list[Sentence]:
    """What is worth keeping, in order; the first sentence, where nothing is."""
    weighty = sorted(
        (place for place, one in enumerate(sentences) if one.weight[1]),
        key=lambda place: sentences[place].weight,
        reverse=True,
    )
    return [sentences[place] for place in sorted(weighty[:most])] or list(sentences[:1])


def prose(sentences: Sequence[Sentence], most: int) -> str:
    """What is worth keeping, as a text."""
    return clipped(" ".join(one.text for one in salient(sentences, max(1, most // 80))), most)


def title(sentences: Sequence[Sentence]) -> str:
    """The names and words that are said most."""
    text = " ".join(one.text for one in sentences)
    words = Counter(NAME.findall(text)) or Counter(LONG_WORD.findall(text))
    return " and ".join(word for word, _ in words.most_common(2)) or text[:40] or "Nothing"


def chosen(name: str, values: Sequence[str], sentences: Sequence[Sentence]) -> str:
    """One of the values."""
    if name != "overall_sentiment":
        return values[0]
    text = " ".join(one.text for one in sentences)
    good, bad = len(GOOD.findall(text)), len(BAD.findall(text))
    if not good and not bad:
        return "neutral"
    return "positive" if good > 2 * bad else "negative" if bad > 2 * good else "mixed"


def clipped(text: str, most: int) -> str:
    """A text of at most so many characters, cut between words where there are any."""
    if len(text) <= most:
        return text
    head = text[:most]
    return head[: head.rfind(" ")] if " " in head else head
