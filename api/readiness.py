"""The refusal of what needs a transcript, where there is none yet."""

from api.errors import ApiError, ErrorType
from db.models import MediaFile


def not_ready(file: MediaFile) -> ApiError:
    """The refusal where there is no transcript yet."""
    return ApiError(
        ErrorType.transcript_not_ready,
        f"The file is {file.status}; its transcript exists when it is completed.",
        file_status=file.status,
    )
