"""Plain WhisperX and plain pyannote.audio with the same weights: what we compare with."""

from pathlib import Path
from typing import Any

from serving import catalogue
from serving.arguments import SpeechArguments
from serving.engines import pyannote_model
from serving.model_kinds import Role
from tests.models.recordings import decoded


class Peer:
    """`whisperx.load_model().transcribe()` and a plain SpeakerDiarization pipeline."""

    def __init__(self, arguments: SpeechArguments) -> None:
        import whisperx

        folder = Path(arguments.model_dir)
        self._batch_size = arguments.batch_size
        self._whisper = whisperx.load_model(
            str(catalogue.resolve(arguments.whisper_model, Role.asr, folder)),
            "cpu",
            compute_type=arguments.compute_type,
            asr_options={"beam_size": arguments.beam_size},
            vad_method="pyannote",
            threads=arguments.threads,
        )
        self._diarization = plain_pipeline(arguments)

    def transcribe(self, path: Path) -> tuple[str, str]:
        """Text and language."""
        audio = decoded(path).astype("float32") / 32768
        result = self._whisper.transcribe(audio, batch_size=self._batch_size)
        text = " ".join(segment["text"].strip() for segment in result["segments"])
        return text, str(result["language"])

    def diarize(self, path: Path) -> Any:
        """pyannote's annotation."""
        import torch

        audio = torch.from_numpy(decoded(path).astype("float32") / 32768)[None]
        output = self._diarization({"waveform": audio, "sample_rate": 16_000, "uri": path.stem})
        return getattr(output, "speaker_diarization", output)


def plain_pipeline(arguments: SpeechArguments) -> Any:
    """pyannote.audio's own pipeline over the same files."""
    pyannote_model.quiet()
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.pipelines import SpeakerDiarization

    folder = Path(arguments.model_dir)
    model = catalogue.diarization(arguments.diarization_model)
    pipeline = SpeakerDiarization(
        segmentation=pyannote_model.load(
            catalogue.resolve(model.segmentation, Role.segmentation, folder),
            "cpu",
            arguments.threads,
        ),
        embedding=str(catalogue.resolve(model.embedding, Role.speaker_embedding, folder)),
        clustering="AgglomerativeClustering",
        embedding_exclude_overlap=True,
        # Agglomerative clustering never asks it, but the pipeline's default is on a hub.
        plda=PLDA.__new__(PLDA),
    )
    return pipeline.instantiate(
        {
            "clustering": {
                "method": model.method,
                "min_cluster_size": model.min_cluster_size,
                "threshold": model.threshold,
            },
            "segmentation": {"min_duration_off": 0.0},
        }
    )
