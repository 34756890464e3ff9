"""What each error type means: its HTTP status, a title, and what the caller can do about it."""

from collections.abc import Mapping
from dataclasses import dataclass

from api.error_types import ErrorType


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An error type's HTTP status, its title, and what the caller can do about it."""

    status: int
    title: str
    advice: str


ERRORS: Mapping[ErrorType, ErrorInfo] = {
    ErrorType.bad_request: ErrorInfo(
        400, "Malformed request", "Send a body of the announced type and length."
    ),
    ErrorType.invalid_request: ErrorInfo(
        400, "Incomplete token request", "Send `username` and `password` as form fields (RFC 6749)."
    ),
    ErrorType.invalid_grant: ErrorInfo(
        400, "Wrong email or password", "Check both; the two are not told apart."
    ),
    ErrorType.unsupported_grant_type: ErrorInfo(
        400, "Unsupported grant type", "Use `grant_type=password`."
    ),
    ErrorType.not_authenticated: ErrorInfo(
        401, "Not signed in", "Send `Authorization: Bearer <access token>` from `/api/auth/login`."
    ),
    ErrorType.invalid_token: ErrorInfo(
        401,
        "Access token refused",
        "It is expired, revoked or not ours: get a new one from `/api/auth/token/refresh`.",
    ),
    ErrorType.invalid_credentials: ErrorInfo(
        401, "Wrong email or password", "Check both; the two are not told apart."
    ),
    ErrorType.invalid_refresh_token: ErrorInfo(
        401, "Refresh token refused", "It is expired, revoked or used before: sign in again."
    ),
    ErrorType.provider_refused: ErrorInfo(
        401,
        "Sign-in at the provider failed",
        "Begin again at `/api/auth/oidc/login`; if it stays, ask an administrator.",
    ),
    ErrorType.forbidden: ErrorInfo(403, "Not allowed", "Ask an administrator for the right."),
    ErrorType.read_only: ErrorInfo(
        403, "Cannot be changed", "It belongs to the system: make one of your own instead."
    ),
    ErrorType.registration_closed: ErrorInfo(
        403, "Registration is closed", "Ask an administrator for an account."
    ),
    ErrorType.wrong_password: ErrorInfo(
        403, "Current password is wrong", "Send the password that you sign in with now."
    ),
    ErrorType.not_found: ErrorInfo(
        404, "Not found", "Check the id or the path; what belongs to others is not found either."
    ),
    ErrorType.method_not_allowed: ErrorInfo(
        405, "Method not allowed", "The `Allow` header lists the methods of this path."
    ),
    ErrorType.conflict: ErrorInfo(
        409, "Conflict with the present state", "Read the resource again, then decide."
    ),
    ErrorType.email_taken: ErrorInfo(
        409, "Email address in use", "Sign in, or register with another address."
    ),
    ErrorType.name_taken: ErrorInfo(
        409, "Name in use", "Take the one that exists, or choose another name."
    ),
    ErrorType.last_admin: ErrorInfo(
        409, "The last administrator", "Make somebody else an administrator first."
    ),
    ErrorType.not_configured: ErrorInfo(
        409, "Feature is not configured", "Ask an administrator to set it up."
    ),
    ErrorType.duplicate_file: ErrorInfo(
        409, "File exists already", "Use the file named by `existing_file_id`, or delete it first."
    ),
    ErrorType.file_busy: ErrorInfo(
        409,
        "File is being processed",
        "Cancel the task named by `task_id` (`POST /api/tasks/{id}/cancel`) or wait for its end.",
    ),
    ErrorType.file_completed: ErrorInfo(
        409,
        "Nothing to retry",
        "The file is completed; compute it anew with `POST /api/files/{id}/reprocess`.",
    ),
    ErrorType.transcript_not_ready: ErrorInfo(
        409, "No transcript yet", "Wait until the file's status is `completed`."
    ),
    ErrorType.transcript_empty: ErrorInfo(
        409,
        "Nothing is said",
        "The transcript has no words; if somebody speaks, process the recording anew.",
    ),
    ErrorType.idempotency_in_progress: ErrorInfo(
        409,
        "The first request is still in progress",
        "Send it again after `Retry-After` seconds: then it gets the first one's answer.",
    ),
    ErrorType.upload_closed: ErrorInfo(
        409, "Upload is closed", "It was completed or cancelled; prepare a new one."
    ),
    ErrorType.upload_incomplete: ErrorInfo(
        409, "Parts are missing", "Send the parts listed in `missing_parts`, then complete again."
    ),
    ErrorType.upload_expired: ErrorInfo(410, "Upload has expired", "Prepare a new one."),
    ErrorType.body_too_slow: ErrorInfo(
        408, "Body came too slowly", "Send it again over a better connection, in smaller parts."
    ),
    ErrorType.length_required: ErrorInfo(
        411, "Content-Length required", "Send the body with its length, not chunked."
    ),
    ErrorType.body_too_large: ErrorInfo(
        413,
        "Body too large for one request",
        "Upload in parts: `POST /api/files/upload/prepare`, `PUT …/parts/{n}`, `POST …/complete`.",
    ),
    ErrorType.upload_too_large: ErrorInfo(
        413, "File too large", "Cut the recording, or ask the operator to raise the limit."
    ),
    ErrorType.precondition_failed: ErrorInfo(
        412,
        "Changed meanwhile",
        "Somebody edited it since you read it: read it again, then repeat your edit on that.",
    ),
    ErrorType.precondition_required: ErrorInfo(
        428, "If-Match required", "Send the `ETag` of what you read as `If-Match`."
    ),
    ErrorType.range_not_satisfiable: ErrorInfo(
        416, "Range lies outside the file", "`Content-Range` tells the file's size."
    ),
    ErrorType.validation_error: ErrorInfo(
        422, "Invalid input", "`errors` lists each field with a JSON pointer and what is wrong."
    ),
    ErrorType.invalid_part: ErrorInfo(
        422, "Part does not fit", "Send part `n` with exactly its bytes; only the last is shorter."
    ),
    ErrorType.checksum_mismatch: ErrorInfo(
        422, "Checksum differs", "The bytes changed on the way: send them again."
    ),
    ErrorType.invalid_media: ErrorInfo(
        422, "Not a media file", "Send an audio or video recording that players can open."
    ),
    ErrorType.unsupported_media: ErrorInfo(
        422, "Media of a kind that is not accepted", "Convert it, for example to FLAC or MP4."
    ),
    ErrorType.no_audio: ErrorInfo(422, "No audio in the file", "Send a file with an audio track."),
    ErrorType.no_video: ErrorInfo(
        422, "No picture in the file", "Subtitles can be put into videos only; export them instead."
    ),
    ErrorType.audio_too_short: ErrorInfo(
        422, "Recording too short", "Send a longer recording; this one cannot hold speech."
    ),
    ErrorType.audio_too_long: ErrorInfo(
        422, "Recording too long", "Cut it, or ask the operator to raise the limit."
    ),
    ErrorType.decoder_limit: ErrorInfo(
        422, "Decoding takes too much", "Re-encode the file plainly, for example to FLAC."
    ),
    ErrorType.enrolment_unclear: ErrorInfo(
        422,
        "Not one person's clip",
        "Send a longer clip in which one person speaks, and nobody else.",
    ),
    ErrorType.language_unsupported: ErrorInfo(
        422, "Language not supported", "Use `auto` or one of Whisper's language codes."
    ),
    ErrorType.idempotency_key_reused: ErrorInfo(
        422,
        "Key belongs to another request",
        "Make a new `Idempotency-Key` for each request; repeat one only with the same content.",
    ),
    ErrorType.url_refused: ErrorInfo(
        422,
        "Address is not fetched",
        "Send a public http or https address; others are reached only if the operator allows it.",
    ),
    ErrorType.source_unsupported: ErrorInfo(
        422, "No recording at that address", "Send the address of a media file or of its page."
    ),
    ErrorType.source_private: ErrorInfo(
        422, "Recording is private", "Make it public, or download it yourself and upload it."
    ),
    ErrorType.source_removed: ErrorInfo(
        422, "Recording is not there any more", "Look for another copy."
    ),
    ErrorType.source_geo_blocked: ErrorInfo(
        422, "Recording is blocked in this region", "Download it elsewhere and upload it."
    ),
    ErrorType.source_live: ErrorInfo(
        422, "Stream is still running", "Wait until it is over and its recording is published."
    ),
    ErrorType.too_many_voices: ErrorInfo(
        422, "Too many voices to group", "Seen on failed tasks: name or delete some of them."
    ),
    ErrorType.queue_full: ErrorInfo(
        429,
        "Too much is waiting",
        "Try again after `Retry-After` seconds; what was sent in parts is kept meanwhile.",
    ),
    ErrorType.too_many_attempts: ErrorInfo(
        429, "Too many attempts", "Try again after `Retry-After` seconds."
    ),
    ErrorType.too_many_uploads: ErrorInfo(
        429, "Too many uploads at a time", "Complete or cancel one of those that are open."
    ),
    ErrorType.quota_exceeded: ErrorInfo(
        429, "Quota used up", "Try again after `Retry-After` seconds."
    ),
    ErrorType.processing_error: ErrorInfo(
        500, "Processing failed", "Try again; if it stays, tell the operator the `request_id`."
    ),
    ErrorType.attempts_exhausted: ErrorInfo(
        500, "Processing never came to an end", "Seen on failed tasks; ask the operator."
    ),
    ErrorType.internal_error: ErrorInfo(
        500, "Internal error", "Tell the operator the `request_id`."
    ),
    ErrorType.model_unavailable: ErrorInfo(
        503, "Model not available", "The operator must provide the model's weights."
    ),
    ErrorType.out_of_memory: ErrorInfo(
        503, "Out of memory", "Try again later, or ask for a smaller model or batch."
    ),
    ErrorType.deadline_exceeded: ErrorInfo(
        503, "Processing took far too long", "Seen on failed tasks; try again later."
    ),
    ErrorType.source_unreachable: ErrorInfo(
        502, "Remote site does not answer", "Try again later; open the address in a browser."
    ),
    ErrorType.provider_unreachable: ErrorInfo(
        502,
        "Sign-in provider does not answer",
        "Try again later, or sign in with a password; the operator's log says what is wrong.",
    ),
    ErrorType.speech_unavailable: ErrorInfo(
        503, "Speech service does not answer", "Try again after `Retry-After` seconds."
    ),
    ErrorType.server_busy: ErrorInfo(
        503,
        "Too many requests at a time",
        "Try again after `Retry-After` seconds.",
    ),
    ErrorType.store_unavailable: ErrorInfo(
        503, "Store does not answer", "Try again after `Retry-After` seconds."
    ),
    ErrorType.llm_context_exceeded: ErrorInfo(
        422,
        "Text too long for the language model",
        "Use a model with a larger context, or a shorter prompt.",
    ),
    ErrorType.llm_refused: ErrorInfo(
        422,
        "The language model will not answer",
        "Its provider's filter stopped it: change the prompt, or use another model.",
    ),
    ErrorType.prompt_invalid: ErrorInfo(
        422, "Prompt that cannot be used", "`detail` says what is missing or unknown in it."
    ),
    ErrorType.too_many_configurations: ErrorInfo(
        409, "Too many configurations", "Delete one of yours first."
    ),
    ErrorType.too_many_prompts: ErrorInfo(409, "Too many prompts", "Delete one of yours first."),
    ErrorType.llm_failed: ErrorInfo(
        502,
        "The language model's provider refused",
        "`detail` says what it told; check the configuration at `/api/llm-settings`.",
    ),
    ErrorType.llm_unauthorised: ErrorInfo(
        502,
        "The language model's provider does not take the key",
        "Enter a valid key at `/api/llm-settings`, and test it there.",
    ),
    ErrorType.llm_output_invalid: ErrorInfo(
        502,
        "The language model's answer cannot be used",
        "Seen on failed tasks: try again, or use a larger model.",
    ),
    ErrorType.llm_unavailable: ErrorInfo(
        503, "The language model does not answer", "Try again after `Retry-After` seconds."
    ),
    ErrorType.llm_rate_limited: ErrorInfo(
        503,
        "The language model's provider wants fewer calls",
        "Try again after `Retry-After` seconds, or ask the provider for a higher limit.",
    ),
}
