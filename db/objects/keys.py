"""Where things of a user lie in the object store; keys never hold what users typed."""

import uuid


def media_prefix(user_id: uuid.UUID, file_id: uuid.UUID) -> str:
    """Everything that belongs to a media file."""
    return f"media/{user_id}/{file_id}/"


def media_key(user_id: uuid.UUID, file_id: uuid.UUID) -> str:
    """The media file itself."""
    return f"{media_prefix(user_id, file_id)}original"


def subtitled_prefix(key: str) -> str:
    """Videos with subtitles, made of the media file with this key."""
    return f"{key}.subtitled/"


def upload_prefix(user_id: uuid.UUID, upload_id: uuid.UUID) -> str:
    """All parts of an upload."""
    return f"uploads/{user_id}/{upload_id}/"


def part_key(user_id: uuid.UUID, upload_id: uuid.UUID, number: int) -> str:
    """One part of an upload."""
    return f"{upload_prefix(user_id, upload_id)}{number:05d}"


def profile_prefix(user_id: uuid.UUID, profile_id: uuid.UUID) -> str:
    """All clips of a person."""
    return f"enrolments/{user_id}/{profile_id}/"


def enrolment_key(user_id: uuid.UUID, profile_id: uuid.UUID, enrolment_id: uuid.UUID) -> str:
    """A clip in which a person speaks."""
    return f"{profile_prefix(user_id, profile_id)}{enrolment_id}"


def prefixes_of_user(user_id: uuid.UUID) -> tuple[str, ...]:
    """Everything that belongs to a user."""
    return f"enrolments/{user_id}/", f"media/{user_id}/", f"uploads/{user_id}/"
