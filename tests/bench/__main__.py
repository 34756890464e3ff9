"""`python -m tests.bench NAME`: makes the figures of docs/benchmarks.md."""

import sys
from importlib import import_module

NAMES = (
    "quality",
    "service",
    "memory",
    "durability",
    "listing",
    "uploads",
    "voices",
    "voice_library",
    "voiceprints",
    "summaries",
    "language_model",
    "retrieval",
    "search_scale",
    "text_embedding",
    "backfill",
    "batching",
    "diarization",
    "clustering",
    "measures",
    "throughput",
    "scaling",
    "autoscaling",
)


def main() -> None:
    """Run the named benches, or all."""
    chosen = [name for name in sys.argv[1:2] if name in NAMES] or list(NAMES)
    for name in chosen:
        print(f"\n## {name}\n", flush=True)
        import_module(f"tests.bench.{name}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
