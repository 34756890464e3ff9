"""A summary put together by code: what was noted is carried over whole, nothing is told anew."""

from collections.abc import Mapping, Sequence

from pipelines.language import duplicates
from pipelines.language.answers import Closing, RoleAnswer
from pipelines.language.bluf import Bluf, MajorTopic, Metadata, SpeakerAnalysis
from pipelines.language.digests import Topic
from pipelines.language.notes import NotedTopic, SectionNotes
from pipelines.language.people import known
from pipelines.language.reading import interval
from pipelines.language.speaker_data import SpeakerShare

MOST_CONTRIBUTIONS = 8
"""Contributions of one speaker in a summary, evenly from all; the sections have every one."""
POINTS_AS_SUMMARY = 2
"""Key points that stand for a topic's summary where the model wrote none."""


def assembled(
    sections: Sequence[SectionNotes],
    topics: Sequence[Topic],
    closing: Closing,
    speakers: Sequence[SpeakerShare],
    metadata: Metadata,
) -> Bluf:
    """The summary of all sections; `topics` has each of their topics in exactly one."""
    major = [_major(topic, sections) for topic in topics]
    return Bluf(
        bluf=closing.bluf,
        brief_summary=closing.brief_summary,
        major_topics=tuple(sorted(major, key=lambda topic: topic.start)),
        action_items=tuple(
            duplicates.actions(item for section in sections for item in section.action_items)
        ),
        key_decisions=tuple(
            duplicates.decisions(one for section in sections for one in section.decisions)
        ),
        speakers_analysis=_speakers(sections, speakers, closing.speakers),
        follow_up_items=tuple(
            duplicates.texts(text for section in sections for text in section.follow_ups)
        ),
        overall_sentiment=closing.overall_sentiment,
        content_type_detected=closing.content_type,
        metadata=metadata,
    )


def own_topics(sections: Sequence[SectionNotes]) -> list[Topic]:
    """Every topic of every section, for itself."""
    return [
        Topic(topic.title, ((section.number, place),), topic.summary)
        for section in sections
        for place, topic in enumerate(section.topics)
    ]


def _major(topic: Topic, sections: Sequence[SectionNotes]) -> MajorTopic:
    members = [sections[number - 1].topics[place] for number, place in topic.members]
    start, end = min(one.start for one in members), max(one.end for one in members)
    points = _points(members)
    return MajorTopic(
        topic=topic.title,
        summary=topic.summary or " ".join(points[:POINTS_AS_SUMMARY]),
        key_points=tuple(points),
        timestamp_range=interval(start, end),
        start=start,
        end=end,
        participants=tuple(dict.fromkeys(name for one in members for name in one.participants)),
    )


def _points(members: Sequence[NotedTopic]) -> list[str]:
    points = [(point, member.start) for member in members for point in member.points]
    points.sort(key=lambda pair: pair[1] if pair[0].start is None else pair[0].start)
    kept = duplicates.joined(
        (point for point, _ in points),
        lambda first, second: duplicates.same(first.text, second.text),
        lambda first, _: first,
    )
    return [point.shown for point in kept]


def _speakers(
    sections: Sequence[SectionNotes], speakers: Sequence[SpeakerShare], roles: Sequence[RoleAnswer]
) -> tuple[SpeakerAnalysis, ...]:
    names = [share.speaker for share in speakers]
    said = _roles(roles, names)
    return tuple(
        SpeakerAnalysis(
            speaker=share.speaker,
            role=said.get(share.speaker, ""),
            talk_time_percentage=share.percentage,
            words=share.words,
            turns=share.turns,
            key_contributions=tuple(_contributions(sections, share.speaker)),
        )
        for share in speakers
    )


def _roles(roles: Sequence[RoleAnswer], names: Sequence[str]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for one in roles:
        if one.role and (speaker := known(one.speaker, names)):
            found.setdefault(speaker, one.role)
    return found


def _contributions(sections: Sequence[SectionNotes], speaker: str) -> list[str]:
    said = [
        one.contribution
        for section in sections
        for one in section.contributions
        if one.speaker == speaker
    ]
    return duplicates.spread(duplicates.texts(said), MOST_CONTRIBUTIONS)
