"""What FastAPI leaves out of the OpenAPI document: words about groups, ids and wrappers; nulls."""

from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]

TAGS = {
    "auth": "Signing in: accounts, sessions, tokens, providers.",
    "users": "The own account; administrators manage all of them.",
    "uploads": "Recordings come in, whole or in parts.",
    "links": "Recordings are fetched from an address.",
    "media": "Bytes of a file: media, thumbnail, waveform, subtitles.",
    "events": "What happens, as it happens.",
    "files": "Media files: list, change, delete, process anew.",
    "transcripts": "What was said: read, edit, export, analyse.",
    "tags": "Words on files.",
    "collections": "Named sets of files.",
    "speakers": "Voices of files: who they are, may be, and where else they speak.",
    "speaker profiles": "People across files: profiles, their collections, clips of voices.",
    "comments": "Remarks on files and on moments of them.",
    "speaker clusters": "Groups of voices without a name.",
    "search": "Search in what was said, by words and by meaning.",
    "language models": "Which language model works for a user, and whether it answers.",
    "summarization": "Summaries, names and topics by language models, and searches in summaries.",
    "prompts": "What language models are asked for summaries.",
    "user settings": "What a user prefers.",
    "tasks": "The queue: what waits, runs, failed.",
    "admin": "For administrators: figures, settings, retention, audit log.",
    "health": "Whether the service and its parts work.",
}
"""What each group of routes is about."""

PATH_PARAMETERS = {
    "file_id": "A media file's id",
    "task_id": "A task's id",
    "upload_id": "An upload's id, from `prepare`",
    "number": "Number of the part, from 1",
    "user_id": "An account's id",
    "session_id": "A session's id, from the list of sessions",
    "tag_id": "A tag's id",
    "collection_id": "A collection's id",
    "comment_id": "A comment's id",
    "speaker_id": "A speaker's id: a voice of one file",
    "target_speaker_id": "The speaker that stays",
    "change_id": "A change's id, from the list of changes",
    "profile_id": "A profile's id",
    "target_profile_id": "The profile that stays",
    "speaker_collection_id": "A speaker collection's id",
    "enrolment_id": "A clip's id",
    "cluster_id": "A cluster's id",
    "source_cluster_id": "The cluster that is emptied",
    "target_cluster_id": "The cluster that takes its voices",
    "segment_id": "A segment's id, from the transcript",
    "edit_id": "An edit's id, from the transcript's history",
    "config_id": "A configuration's id, from the list of configurations",
    "prompt_id": "A prompt's id",
    "backfill_id": "A backfill's id",
    "prediction_id": "A prediction's id, from the list of predictions",
    "content_type": "A kind of recordings",
    "export_format": "How the transcript is written",
}
"""What the parameters in paths name, said once."""

WRAPPERS = {
    "Envelope_": "What every successful JSON answer under /api looks like.",
    "Page_": "One page of a list.",
    "Body_": "A form.",
}
"""Schemas that FastAPI and pydantic make, by how their names begin."""


def complete(document: Json) -> None:
    """Say what parameters and wrappers are, and put the nulls back into the examples."""
    schemas: Mapping[str, Json] = document["components"]["schemas"]
    document["servers"] = [{"url": "/", "description": "Where this document is"}]
    for operation in _operations(document):
        # What is open says so.
        operation.setdefault("security", [])
    for parameter in _path_parameters(document):
        parameter.setdefault("description", PATH_PARAMETERS[parameter["name"]])
    for name, schema in schemas.items():
        for beginning, meaning in WRAPPERS.items():
            if name.startswith(beginning):
                schema.setdefault("description", meaning)
        for example in schema.get("examples", []):
            _restore_nulls(schema, example, schemas)


def _operations(document: Json) -> Iterator[Json]:
    for methods in document["paths"].values():
        yield from methods.values()


def _path_parameters(document: Json) -> Iterator[Json]:
    for operation in _operations(document):
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                yield parameter


def _restore_nulls(schema: Json, example: Any, schemas: Mapping[str, Json]) -> None:
    """FastAPI drops members that are null from the whole document, also from examples."""
    for choice in _choices(schema, schemas):
        if isinstance(example, list):
            for item in example:
                _restore_nulls(choice.get("items", {}), item, schemas)
        if isinstance(example, dict):
            for name, member in choice.get("properties", {}).items():
                if name in example:
                    _restore_nulls(member, example[name], schemas)
                elif name in choice.get("required", []) and _nullable(member):
                    example[name] = None


def _choices(schema: Json, schemas: Mapping[str, Json]) -> Iterator[Json]:
    if "$ref" in schema:
        yield from _choices(schemas[schema["$ref"].rsplit("/", 1)[-1]], schemas)
        return
    yield schema
    for one in schema.get("anyOf", []):
        yield from _choices(one, schemas)


def _nullable(schema: Json) -> bool:
    return {"type": "null"} in schema.get("anyOf", [])
