"""The first thing a stranger sees: the bundled sample, transcribed, beside its reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cluster.embedded.errors import EmbeddedError
from rayscribe import demo_summary
from rayscribe.api_client import ApiClient, ApiFailure
from rayscribe.bootstrap import load_credential

SOURCE = "30 s of telephone speech that ships with pyannote.audio (MIT)"


@dataclass(frozen=True, slots=True)
class Line:
    """What one speaker says from `start` to `end`, in seconds."""

    start: float
    end: float
    speaker: str
    text: str


def sample() -> Path:
    """pyannote.audio's own sample, found without importing it."""
    spec = find_spec("pyannote.audio")
    if spec is None or spec.origin is None:
        raise ApiFailure("the sample is not there: pyannote.audio is not installed (make setup)")
    return Path(spec.origin).parent / "sample" / "sample.wav"


def reference(path: Path) -> list[Line]:
    """The sample's STM file: lines `file channel speaker start end text`."""
    lines = []
    for line in path.with_suffix(".stm").read_text().splitlines():
        _, _, speaker, start, end, text = line.split(maxsplit=5)
        lines.append(Line(float(start), float(end), speaker, text))
    return lines


def demonstrate(url: str, data_dir: Path, console: Console, *, summary: bool = False) -> None:
    """Transcribe the sample on the installation in `data_dir`, and have it summarised if wanted.

    Raises:
        EmbeddedError: it was not transcribed, with the reason.
    """
    client = ApiClient(url, None, load_credential(data_dir))
    try:
        file_id = show(client, console)
        if summary:
            demo_summary.show(client, file_id, console)
    except ApiFailure as failure:
        raise EmbeddedError(f"the sample came to nothing: {failure}") from failure
    finally:
        client.close()


def show(client: ApiClient, console: Console) -> str:
    """Transcribe the sample through the API and print it beside its reference; the file's id.

    Raises:
        ApiFailure: the service refused or failed.
    """
    path = sample()
    console.print(f"\nTranscribing the bundled sample: {SOURCE}", highlight=False)
    with console.status("uploading") as status:
        submitted = client.submit(path, {"language": "auto"}, lambda stage, _: status.update(stage))
        for task in client.follow(submitted.task_id or _earlier(client, submitted.file_id)):
            stage = task["stage"] or task["state"]
            status.update(f"{stage} {task['progress']:.0%}")
        if task["state"] != "completed":
            raise ApiFailure(task["error_message"] or f"the task was {task['state']}")
    transcript = client.transcript(submitted.file_id)
    found = [
        Line(item["start"], item["end"], item["speaker"] or "?", item["text"])
        for item in transcript["segments"]
    ]
    table = Table("transcribed", "reference", expand=True, show_lines=False)
    table.add_row(_lines(found), _lines(reference(path)))
    console.print(table)
    console.print(
        f"language {transcript['language']} ({transcript['language_probability']:.0%}), "
        f"word times by {transcript['word_timing']}; the words of the first lines:",
        highlight=False,
    )
    console.print(_words(transcript["segments"][:2]), highlight=False)
    return submitted.file_id


def _earlier(client: ApiClient, file_id: str) -> str:
    """The task of a sample that was uploaded by an earlier run."""
    task = client.transcription_of(file_id)
    if task is None:
        raise ApiFailure("the sample is there and was never transcribed: delete it, then try again")
    return str(task["id"])


def _lines(lines: Sequence[Line]) -> RenderableType:
    shown = [Text(f"{x.start:5.1f} {x.speaker.upper():<12}{x.text}") for x in lines]
    return Group(*shown)


def _words(segments: Sequence[dict[str, list[dict[str, object]]]]) -> Text:
    words = [word for segment in segments for word in segment["words"]]
    return Text("  ".join(f"{w['word']} {w['start']:.2f}–{w['end']:.2f}" for w in words))  # noqa: RUF001
