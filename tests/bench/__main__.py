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
    "search_outage",
    "text_embedding",
    "backfill",
    "batching",
    "diarization",
    "clustering",
    "measures",
    "axis",
    "throughput",
    "scaling",
    "autoscaling",
)


def main() -> None:
    """Run the named bench, or all."""
    chosen = sys.argv[1:2] or NAMES
    if unknown := set(chosen) - set(NAMES):
        sys.exit(f"no bench {', '.join(unknown)}: it is one of {', '.join(NAMES)}")
    for name in chosen:
        print(f"\n## {name}\n", flush=True)
        import_module(f"tests.bench.{name}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
