"""Routes of one's own settings: /api/user-settings."""

from typing import TypeVar

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from api import preferences
from api.dependencies import CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import SIGNED_IN, SIGNED_IN_TYPES, errors
from api.preferences import (
    AudioExtractionPreferences,
    DownloadPreferences,
    Preferences,
    RecordingPreferences,
    SummaryPreferences,
    TranscriptionPreferences,
)
from api.user_settings.schemas import AllPreferences
from db.queries import user_settings

router = APIRouter(prefix="/api/user-settings", tags=["user settings"], route_class=EnvelopeRoute)

Section = TypeVar("Section", bound=Preferences)

CHANGED = errors(*SIGNED_IN_TYPES, ErrorType.validation_error)


async def _change(session: Session, user: CurrentUser, changes: Section) -> Section:
    try:
        return await preferences.save(session, user.id, changes)
    except ValidationError as error:
        fields = [{**item, "loc": ("body", *item["loc"])} for item in error.errors()]
        raise RequestValidationError(fields) from error


@router.get(
    "/all",
    summary="All my settings",
    response_description="Settings",
    responses=SIGNED_IN,
)
async def get_all_settings(session: Session, user: CurrentUser) -> AllPreferences:
    """Every section, with the defaults of what you did not set."""
    return AllPreferences.of(await user_settings.every(session, user.id))


@router.get(
    "/recording",
    summary="My recording settings",
    response_description="Recording settings",
    responses=SIGNED_IN,
)
async def get_recording_settings(session: Session, user: CurrentUser) -> RecordingPreferences:
    """How your clients record."""
    return await preferences.load(session, user.id, RecordingPreferences)


@router.put(
    "/recording",
    summary="Change my recording settings",
    response_description="Recording settings saved",
    responses=CHANGED,
)
async def put_recording_settings(
    session: Session, user: CurrentUser, changes: RecordingPreferences
) -> RecordingPreferences:
    """Sets what is sent, and leaves the rest as it is."""
    return await _change(session, user, changes)


@router.delete(
    "/recording", status_code=204, summary="Reset my recording settings", responses=SIGNED_IN
)
async def reset_recording_settings(session: Session, user: CurrentUser) -> None:
    """Goes back to the defaults."""
    await user_settings.reset(session, user.id, RecordingPreferences.section)


@router.get(
    "/transcription",
    summary="My transcription settings",
    response_description="Transcription settings",
    responses=SIGNED_IN,
)
async def get_transcription_settings(
    session: Session, user: CurrentUser
) -> TranscriptionPreferences:
    """What your uploads and downloads take where their request leaves an option out."""
    return await preferences.load(session, user.id, TranscriptionPreferences)


@router.put(
    "/transcription",
    summary="Change my transcription settings",
    response_description="Transcription settings saved",
    responses=CHANGED,
)
async def put_transcription_settings(
    session: Session, user: CurrentUser, changes: TranscriptionPreferences
) -> TranscriptionPreferences:
    """Sets what is sent, and leaves the rest as it is; files that are there do not change."""
    return await _change(session, user, changes)


@router.delete(
    "/transcription",
    status_code=204,
    summary="Reset my transcription settings",
    responses=SIGNED_IN,
)
async def reset_transcription_settings(session: Session, user: CurrentUser) -> None:
    """Goes back to the installation's defaults."""
    await user_settings.reset(session, user.id, TranscriptionPreferences.section)


@router.get(
    "/audio-extraction",
    summary="My settings of audio extraction",
    response_description="Settings of audio extraction",
    responses=SIGNED_IN,
)
async def get_audio_extraction_settings(
    session: Session, user: CurrentUser
) -> AudioExtractionPreferences:
    """Whether your clients send only the sound of a large video."""
    return await preferences.load(session, user.id, AudioExtractionPreferences)


@router.put(
    "/audio-extraction",
    summary="Change my settings of audio extraction",
    response_description="Settings of audio extraction saved",
    responses=CHANGED,
)
async def put_audio_extraction_settings(
    session: Session, user: CurrentUser, changes: AudioExtractionPreferences
) -> AudioExtractionPreferences:
    """Sets what is sent, and leaves the rest as it is."""
    return await _change(session, user, changes)


@router.delete(
    "/audio-extraction",
    status_code=204,
    summary="Reset my settings of audio extraction",
    responses=SIGNED_IN,
)
async def reset_audio_extraction_settings(session: Session, user: CurrentUser) -> None:
    """Goes back to the defaults."""
    await user_settings.reset(session, user.id, AudioExtractionPreferences.section)


@router.get(
    "/download",
    summary="My download settings",
    response_description="Download settings",
    responses=SIGNED_IN,
)
async def get_download_settings(session: Session, user: CurrentUser) -> DownloadPreferences:
    """What is fetched from other sites where a request leaves it out."""
    return await preferences.load(session, user.id, DownloadPreferences)


@router.put(
    "/download",
    summary="Change my download settings",
    response_description="Download settings saved",
    responses=CHANGED,
)
async def put_download_settings(
    session: Session, user: CurrentUser, changes: DownloadPreferences
) -> DownloadPreferences:
    """Sets what is sent, and leaves the rest as it is."""
    return await _change(session, user, changes)


@router.delete(
    "/download", status_code=204, summary="Reset my download settings", responses=SIGNED_IN
)
async def reset_download_settings(session: Session, user: CurrentUser) -> None:
    """Goes back to the defaults."""
    await user_settings.reset(session, user.id, DownloadPreferences.section)


@router.get(
    "/ai-summary",
    summary="My settings of summaries",
    response_description="Settings of summaries",
    responses=SIGNED_IN,
)
async def get_summary_settings(session: Session, user: CurrentUser) -> SummaryPreferences:
    """What language models do by themselves with every new transcript of yours."""
    return await preferences.load(session, user.id, SummaryPreferences)


@router.put(
    "/ai-summary",
    summary="Change my settings of summaries",
    response_description="Settings of summaries saved",
    responses=CHANGED,
)
async def put_summary_settings(
    session: Session, user: CurrentUser, changes: SummaryPreferences
) -> SummaryPreferences:
    """Sets what is sent, and leaves the rest as it is; transcripts that are there do not change."""
    return await _change(session, user, changes)


@router.delete(
    "/ai-summary", status_code=204, summary="Reset my settings of summaries", responses=SIGNED_IN
)
async def reset_summary_settings(session: Session, user: CurrentUser) -> None:
    """Goes back to the defaults."""
    await user_settings.reset(session, user.id, SummaryPreferences.section)
