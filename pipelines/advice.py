"""What a failed task's error type means to its user: what happened, and what can be done."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ErrorCategory(StrEnum):
    """Kinds of failure that a user can tell apart; the names are the seed's."""

    file_quality = "file_quality"
    no_speech = "no_speech"
    format_issue = "format_issue"
    network_error = "network_error"
    permission_error = "permission_error"
    processing_error = "processing_error"
    unknown = "unknown"


@dataclass(frozen=True, slots=True)
class Advice:
    """What happened, whether the same task may succeed when it is tried again, and what to do."""

    category: ErrorCategory
    happened: str
    retryable: bool
    suggestions: tuple[str, ...]

    @property
    def outlook(self) -> str:
        """Whether a retry can help, as a sentence."""
        if self.retryable:
            return "A retry can help: what was in the way may have passed."
        return "A retry alone will not help: the same would happen again."


AGAIN = "Retry the file; what is done already is not repeated."
PLAY = "Play the file on your computer from beginning to end: does it sound as it should?"
CONVERT = "Convert it to a plain format, for example FLAC or MP3, and upload that."

ADVICE: Mapping[str, Advice] = {
    "invalid_media": Advice(
        ErrorCategory.format_issue,
        "The file could not be decoded: it is damaged, cut off, or not a recording.",
        retryable=False,
        suggestions=(
            PLAY,
            "If it came by a download or a transfer, fetch it again: it may have arrived in part.",
            CONVERT,
        ),
    ),
    "unsupported_media": Advice(
        ErrorCategory.format_issue,
        "The file is of a kind that is not accepted here.",
        retryable=False,
        suggestions=(
            CONVERT,
            "Remove further audio or data streams, and keep the one to be transcribed.",
        ),
    ),
    "no_audio": Advice(
        ErrorCategory.no_speech,
        "The file has no audio: there is nothing to transcribe.",
        retryable=False,
        suggestions=(
            "Check that the right file was chosen, and that the recording was not muted.",
            "If the sound is in a file of its own, upload that one.",
        ),
    ),
    "audio_too_short": Advice(
        ErrorCategory.file_quality,
        "The recording is too short to hold speech.",
        retryable=False,
        suggestions=(
            PLAY,
            "Upload a longer recording, or join several short ones to one file.",
        ),
    ),
    "audio_too_long": Advice(
        ErrorCategory.file_quality,
        "The recording is longer than this installation accepts.",
        retryable=False,
        suggestions=(
            "Cut the recording into shorter files, and upload each.",
            "Ask an operator to raise RAYSCRIBE_MAX_AUDIO_SECONDS, then retry the file.",
            "Of a person's clip, send a part: RAYSCRIBE_VOICES_MAX_ENROLMENT_SECONDS limits it.",
        ),
    ),
    "decoder_limit": Advice(
        ErrorCategory.format_issue,
        "Decoding the file took more memory or time than a file may take.",
        retryable=False,
        suggestions=(
            CONVERT,
            "Leave the video out: only the sound is transcribed.",
            "Ask an operator to raise the decoder's limits, then retry the file.",
        ),
    ),
    "enrolment_unclear": Advice(
        ErrorCategory.file_quality,
        "The clip is not one in which one person speaks alone for long enough.",
        retryable=False,
        suggestions=(
            "Cut out some seconds in which nobody else speaks, without music, and send that.",
            "Send a longer clip if the person says little in this one.",
            "Assign a voice of a transcribed recording to the person instead.",
        ),
    ),
    "validation_error": Advice(
        ErrorCategory.format_issue,
        "The list, or the place, that recordings were to be taken from cannot be used.",
        retryable=False,
        suggestions=(
            "Read what is said of it, mend the list, and begin anew.",
            "Ask an operator to allow the bucket, if it is one that nothing is read from.",
        ),
    ),
    "not_found": Advice(
        ErrorCategory.processing_error,
        "What the task was about was deleted before the task was done.",
        retryable=False,
        suggestions=(
            "Send the clip again if it was deleted by mistake.",
            "Ask again with another prompt if it was a summary's.",
        ),
    ),
    "language_unsupported": Advice(
        ErrorCategory.processing_error,
        "The model that is in use here does not know the language that was asked for.",
        retryable=False,
        suggestions=(
            "Reprocess the file with another `language`, or with `auto`.",
            "Ask an operator whether a multilingual model can be used.",
        ),
    ),
    "model_unavailable": Advice(
        ErrorCategory.permission_error,
        "The weights of a model are missing here, or may not be fetched with the token in use.",
        retryable=False,
        suggestions=(
            "Ask an operator to run `rayscribe models --fetch` and to read what it says.",
            "If the model is gated, its terms must be accepted and HUGGINGFACE_TOKEN be set.",
            "Retry the file when the model is there.",
        ),
    ),
    "out_of_memory": Advice(
        ErrorCategory.processing_error,
        "A model ran out of memory on a part of the recording.",
        retryable=True,
        suggestions=(
            AGAIN,
            "Choose a quieter time: other files may have taken the memory.",
            "Ask an operator for a smaller model or a smaller BATCH_SIZE if it stays.",
        ),
    ),
    "speech_unavailable": Advice(
        ErrorCategory.network_error,
        "A model replica did not answer, also when it was asked again.",
        retryable=True,
        suggestions=(
            "Wait some minutes: replicas that died are started again by themselves.",
            AGAIN,
            "Ask an operator to look at /health if it stays.",
        ),
    ),
    "store_unavailable": Advice(
        ErrorCategory.network_error,
        "The database or the object store did not answer.",
        retryable=True,
        suggestions=(
            "Wait some minutes: the file and what was done of it are stored.",
            AGAIN,
            "Ask an operator to look at /health/ready if it stays.",
        ),
    ),
    "deadline_exceeded": Advice(
        ErrorCategory.processing_error,
        "A step took far longer than it takes for such recordings here, and was given up.",
        retryable=True,
        suggestions=(
            AGAIN,
            "Choose a quieter time if many files are being processed.",
            "Ask an operator for the log of this task if it happens again.",
        ),
    ),
    "processing_error": Advice(
        ErrorCategory.processing_error,
        "Something failed that is probably not the file's fault.",
        retryable=True,
        suggestions=(
            AGAIN,
            "If it fails again at the same place, " + CONVERT[0].lower() + CONVERT[1:],
            "Tell an operator the task's id: the log names the reason.",
        ),
    ),
    "attempts_exhausted": Advice(
        ErrorCategory.processing_error,
        "Processing was started several times and never came to an end.",
        retryable=False,
        suggestions=(
            "Ask an operator for the log of this task: the file may kill the decoder or a model.",
            PLAY,
            CONVERT,
            "Retry the file if the machine was restarted or ran out of memory at that time.",
        ),
    ),
    "url_refused": Advice(
        ErrorCategory.permission_error,
        "The address, or one that it leads to, is not public: such addresses are not fetched here.",
        retryable=False,
        suggestions=(
            "Send the address of a recording that can be reached from anywhere.",
            "Download the recording yourself and upload it.",
            "Ask an operator to allow the host (RAYSCRIBE_EGRESS_ALLOW), then send it again.",
        ),
    ),
    "source_unsupported": Advice(
        ErrorCategory.format_issue,
        "No recording that can be fetched was found at the address.",
        retryable=False,
        suggestions=(
            "Open the address in a browser: does it play a recording, without a paid account?",
            "Send the address of the recording itself, or of the page that shows only it.",
            "Download the recording yourself and upload it.",
        ),
    ),
    "source_private": Advice(
        ErrorCategory.permission_error,
        "The site shows the recording only to those who are signed in or whom its owner chose.",
        retryable=False,
        suggestions=(
            "Make the recording public, or ask its owner to, and send the address again.",
            "Download the recording yourself and upload it.",
        ),
    ),
    "source_removed": Advice(
        ErrorCategory.network_error,
        "The site says that there is no recording at the address, or not any more.",
        retryable=False,
        suggestions=(
            "Check the address for a typing error.",
            "Look for another copy of the recording.",
        ),
    ),
    "source_geo_blocked": Advice(
        ErrorCategory.permission_error,
        "The site does not show the recording in the region of this server.",
        retryable=False,
        suggestions=("Download the recording where it is shown, and upload it.",),
    ),
    "source_live": Advice(
        ErrorCategory.format_issue,
        "The address is that of a stream which is still running, or has not begun.",
        retryable=False,
        suggestions=("Send the address again when the stream is over and can be played back.",),
    ),
    "source_unreachable": Advice(
        ErrorCategory.network_error,
        "The site did not answer, or broke off, also when it was asked again.",
        retryable=True,
        suggestions=(
            "Open the address in a browser: does the site work?",
            "Send the address again later.",
            "Ask an operator whether this server reaches the site if it stays.",
        ),
    ),
    "upload_too_large": Advice(
        ErrorCategory.file_quality,
        "The recording has more bytes than this installation takes.",
        retryable=False,
        suggestions=(
            "Send the address again with audio_only, or with a lower video_quality.",
            "Ask an operator to raise RAYSCRIBE_MAX_UPLOAD_BYTES.",
        ),
    ),
    "duplicate_file": Advice(
        ErrorCategory.processing_error,
        "You have this recording already: the same bytes, or the same address.",
        retryable=False,
        suggestions=("Use the file that is there, or delete it and send the address again.",),
    ),
    "too_many_voices": Advice(
        ErrorCategory.processing_error,
        "You have more voices without a name than are grouped at a time.",
        retryable=False,
        suggestions=(
            "Name voices, or delete files that are not needed, then group the rest.",
            "Ask an operator to raise RAYSCRIBE_VOICES_MAX_CLUSTERED_VOICES.",
        ),
    ),
    "queue_full": Advice(
        ErrorCategory.processing_error,
        "The recording was fetched when too much was waiting for transcription already.",
        retryable=True,
        suggestions=("Send the address again when less is waiting.",),
    ),
    "transcript_empty": Advice(
        ErrorCategory.no_speech,
        "The transcript has no words, so a language model has nothing to work on.",
        retryable=False,
        suggestions=(PLAY, "If somebody speaks, process the recording anew in its language."),
    ),
    "not_configured": Advice(
        ErrorCategory.permission_error,
        "No language model is set up any more for whoever asked.",
        retryable=False,
        suggestions=(
            "Set one up at /api/llm-settings, then ask again.",
            "Ask an administrator for a default one, or for `rayscribe up --llm`.",
        ),
    ),
    "llm_failed": Advice(
        ErrorCategory.processing_error,
        "The language model's provider refused what it was asked.",
        retryable=False,
        suggestions=(
            "Test the configuration at /api/llm-settings: is the model's name right?",
            "Use another model.",
        ),
    ),
    "llm_unavailable": Advice(
        ErrorCategory.network_error,
        "The language model did not answer, or broke off, also when it was asked again.",
        retryable=True,
        suggestions=(
            "Ask again later; sections that were done are not done again.",
            "Test the configuration at /api/llm-settings.",
        ),
    ),
    "llm_rate_limited": Advice(
        ErrorCategory.network_error,
        "The language model's provider wants fewer calls than this needs.",
        retryable=True,
        suggestions=(
            "Ask again later; sections that were done are not done again.",
            "Ask the provider for a higher limit, or use another model.",
        ),
    ),
    "llm_unauthorised": Advice(
        ErrorCategory.permission_error,
        "The language model's provider does not take the key, or the key can no longer be read.",
        retryable=False,
        suggestions=("Enter the key anew at /api/llm-settings, test it, then ask again.",),
    ),
    "llm_refused": Advice(
        ErrorCategory.processing_error,
        "The language model, or its provider's filter, will not answer this.",
        retryable=False,
        suggestions=("Use another prompt.", "Use another model."),
    ),
    "llm_output_invalid": Advice(
        ErrorCategory.processing_error,
        "The language model's answers did not fit what was asked for, also when it was told so.",
        retryable=False,
        suggestions=(
            "Ask again: sections that were done are not done again.",
            "Use a larger model: very small ones lose the thread.",
        ),
    ),
    "llm_context_exceeded": Advice(
        ErrorCategory.processing_error,
        "Even a small part of the transcript does not fit into the model's context.",
        retryable=False,
        suggestions=(
            "Set the context at /api/llm-settings to what the model really has.",
            "Use a shorter prompt, or a model with a larger context.",
        ),
    ),
}
"""By error type: every one with which a task can fail."""

UNKNOWN = Advice(
    ErrorCategory.unknown,
    "The task failed for a reason that this version does not know.",
    retryable=True,
    suggestions=(AGAIN, "Tell an operator the task's id: the log names the reason."),
)
"""For tasks that failed under another version, whose error type is no more."""


def advice_on(error_type: str | None) -> Advice:
    """What a failed task's user is told."""
    return ADVICE.get(error_type or "", UNKNOWN)
