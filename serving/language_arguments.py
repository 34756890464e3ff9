"""What the language model inside the cluster runs with: settings, and the hardware's defaults."""

from pathlib import Path
from typing import Any, NamedTuple

from cluster.settings import LanguageSettings, Settings
from serving import catalogue
from serving.model_kinds import Role

FAKE = "fake"


class Defaults(NamedTuple):
    """What the settings leave open."""

    model: str
    context_tokens: int
    dtype: str
    max_sequences: int


# float32: a CPU without AVX-512 computes bfloat16 several times slower (docs/benchmarks.md).
CPU = Defaults("qwen2.5-coder-0.5b-instruct", 4096, "float32", 8)
GPU = Defaults("Qwen/Qwen2.5-7B-Instruct", 32768, "bfloat16", 64)


def defaults(settings: LanguageSettings, *, on_gpu: bool) -> Defaults:
    """What the settings say, and else what the hardware can carry."""
    usual = GPU if on_gpu else CPU
    return Defaults(
        settings.model or usual.model,
        settings.context_tokens or usual.context_tokens,
        settings.dtype or usual.dtype,
        settings.max_sequences or usual.max_sequences,
    )


def language_arguments(settings: Settings, gpus: float) -> dict[str, Any]:
    """What a replica is told: knobs, no secrets.

    Raises:
        ModelUnavailable: the weights are not there, with what to type.
    """
    on_gpu = gpus > 0
    chosen = defaults(settings.language, on_gpu=on_gpu)
    if settings.speech.engines == FAKE:
        return {"engine": FAKE, "context_tokens": chosen.context_tokens}
    path = catalogue.resolve(chosen.model, Role.language_model, settings.paths.model_dir.resolve())
    return {
        "engine": "vllm",
        "model": str(path),
        "name": Path(chosen.model).name,
        "context_tokens": chosen.context_tokens,
        "dtype": chosen.dtype,
        "max_sequences": chosen.max_sequences,
        "gpu_memory": settings.language.gpu_memory,
        "on_gpu": on_gpu,
    }


def runtime_env(settings: Settings) -> dict[str, Any]:
    """The other environment's Python, and what vLLM reads from its process's environment."""
    language = settings.language
    return {
        # Not resolved: a virtual environment's Python is a link, which leads out of it.
        "py_executable": str(language.python.absolute()),
        "env_vars": {
            "VLLM_CPU_KVCACHE_SPACE": str(language.kv_cache_gib),
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            # Lets the engine have its worker inside (serving.engines.vllm).
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            # Threads that spin at each step's end stand still whenever somebody else has a core.
            "OMP_WAIT_POLICY": "PASSIVE",
            "VLLM_LOGGING_LEVEL": "WARNING",
            "VLLM_NO_USAGE_STATS": "1",
        },
    }
