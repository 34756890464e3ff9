"""Unpacks a GGUF file into a folder that vLLM loads: weights, tokenizer, chat template.

Run once, when the weights are fetched, by the Python that has vLLM:
`python -m serving.engines.gguf_weights FOLDER` replaces FOLDER/model.gguf.
"""

import sys
from pathlib import Path

FILE = "model.gguf"


def unpack(folder: Path) -> None:
    """Write the weights as bfloat16 safetensors, with what belongs to them, and drop the GGUF."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=FILE)
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=FILE,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / FILE).unlink()


if __name__ == "__main__":
    unpack(Path(sys.argv[1]))
