"""Makes the CUDA-linked torchaudio wheel importable beside a CPU build of torch; may run again."""

import importlib.util
import pathlib

import torch


def main() -> str:
    """Set aside the libraries that need CUDA; of what they hold, nothing is used here."""
    if torch.version.cuda is not None or torch.version.hip is not None:
        return "torch has an accelerator build: torchaudio stays as it is"
    spec = importlib.util.find_spec("torchaudio")
    if spec is None or spec.origin is None:
        raise SystemExit("torchaudio is not installed")
    folder = pathlib.Path(spec.origin).parent / "lib"
    aside = [
        library.rename(library.with_name(library.name + ".cuda-only"))
        for library in [*folder.glob("_torchaudio*.so"), *folder.glob("libtorchaudio*.so")]
        if b"libtorch_cuda.so" in library.read_bytes()
    ]
    return f"set aside {len(aside)} CUDA-linked torchaudio libraries"


if __name__ == "__main__":
    print(main())
