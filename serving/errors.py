"""What can go wrong with speech. Positional arguments only, so that they survive Ray; no HTTP here.

An exception that crosses Ray is rebuilt from `args`: a keyword-only constructor would arrive as
`UnserializableException` and lose its type (measured on Ray 2.60, docs/adr/0009).
"""


class SpeechError(Exception):
    """Base of all errors of this floor. `code` is stable and becomes the API's `error_type`."""

    code = "processing_error"
    retryable = False

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())

    @property
    def message(self) -> str:
        """What happened, for a person."""
        return str(self.args[0])


class MediaInvalid(SpeechError):
    """The file is not media that can be decoded."""

    code = "invalid_media"


class MediaUnsupported(SpeechError):
    """The file is media of a kind that is not accepted."""

    code = "unsupported_media"


class NoAudio(SpeechError):
    """The file has no audio stream."""

    code = "no_audio"


class AudioTooShort(SpeechError):
    """The recording is too short to hold speech."""

    code = "audio_too_short"


class AudioTooLong(SpeechError):
    """The recording is longer than this installation accepts."""

    code = "audio_too_long"


class DecoderLimit(SpeechError):
    """Decoding the file took more memory or time than the sandbox allows."""

    code = "decoder_limit"


class LanguageUnsupported(SpeechError):
    """The model does not know this language."""

    code = "language_unsupported"


class ModelUnavailable(SpeechError):
    """A model's weights are missing or do not match their checksum."""

    code = "model_unavailable"


class EngineFailed(SpeechError):
    """A model failed on this part of the recording; the operator's log has the reason."""


class OutOfMemory(SpeechError):
    """A model ran out of memory on a single window."""

    code = "out_of_memory"
    retryable = True


class SpeechUnavailable(SpeechError):
    """A model replica did not answer."""

    code = "speech_unavailable"
    retryable = True


class DeadlineExceeded(SpeechError):
    """A stage took far longer than such recordings take here."""

    code = "deadline_exceeded"
    retryable = True


class LlmFailed(SpeechError):
    """The language model's provider could not do what it was asked."""

    code = "llm_failed"


class LlmUnavailable(SpeechError):
    """The language model's provider does not answer."""

    code = "llm_unavailable"
    retryable = True


class LlmRateLimited(SpeechError):
    """The language model's provider wants fewer calls."""

    code = "llm_rate_limited"
    retryable = True


class LlmUnauthorised(SpeechError):
    """The language model's provider does not take the key."""

    code = "llm_unauthorised"


class LlmRefused(SpeechError):
    """The language model will not answer this."""

    code = "llm_refused"


class LlmOutputInvalid(SpeechError):
    """The language model's answer does not fit, also when asked again."""

    code = "llm_output_invalid"


class ContextExceeded(SpeechError):
    """The text does not fit into the language model's context."""

    code = "llm_context_exceeded"
