"""What can be asked of transcriptions, by whoever asks for one or for many."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.languages import AUTO, LANGUAGES
from serving.errors import LanguageUnsupported

Speakers = Annotated[int, Field(ge=1, le=1000)]
LanguageCode = Annotated[
    str, Field(max_length=10, description="`auto`, or one of Whisper's language codes")
]


def require_order(fewest: int | None, most: int | None) -> None:
    """Raise ValueError for bounds of speakers that no recording can meet."""
    if fewest is not None and most is not None and fewest > most:
        raise ValueError(f"min_speakers ({fewest}) exceeds max_speakers ({most})")


class SpeechOptions(BaseModel):
    """What can be asked of any transcription."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    language: LanguageCode | None = None
    """`auto`, or one of Whisper's language codes."""
    min_speakers: Speakers | None = None
    """Fewest speakers."""
    max_speakers: Speakers | None = None
    """Most speakers."""
    num_speakers: Speakers | None = None
    """Exactly so many; wins over the bounds."""

    @model_validator(mode="after")
    def speakers_in_order(self) -> Self:
        """Refuse bounds that no recording can meet."""
        require_order(self.min_speakers, self.max_speakers)
        return self

    def require_known_language(self) -> None:
        """Raise LanguageUnsupported where Whisper does not know the language."""
        if self.language not in {None, AUTO, *LANGUAGES}:
            known = " ".join(sorted(LANGUAGES))
            raise LanguageUnsupported(
                f"Whisper does not know the language {self.language!r}. Use auto or one of: {known}"
            )
