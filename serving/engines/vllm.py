"""vLLM: chat messages to text, many at a time, with JSON schemas by guided decoding.

It runs in an environment of its own (`make llm`), which has vLLM and Ray but not our other
libraries: nothing else of ours is imported here, and plain dicts cross its borders.
"""

import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CONTEXT_EXCEEDED = "context_exceeded"
TOO_LONG = frozenset({"input_tokens", "input_text"})
"""What vLLM calls a prompt that does not fit: counted, or seen by its length alone."""


@dataclass(frozen=True, slots=True)
class VllmOptions:
    """What the engine is started with."""

    model: str
    """A folder with weights, tokenizer and chat template, or a hub repository."""
    name: str
    """What users see of it."""
    context_tokens: int
    dtype: str
    max_sequences: int
    gpu_memory: float
    on_gpu: bool


class VllmEngine:
    """One model; requests that come while others run join their batch (continuous batching)."""

    def __init__(self, options: VllmOptions) -> None:
        self._options = options
        self._engine: Any = None

    def load(self) -> None:
        """Read the weights; call it on the event loop that will ask for answers."""
        from vllm.config import StructuredOutputsConfig
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        options = self._options
        hardware: dict[str, Any] = {"gpu_memory_utilization": options.gpu_memory}
        if not options.on_gpu:
            # In one process: waiting for another one, vLLM spins, which costs a core of two.
            hardware = {"distributed_executor_backend": "uni"}
        self._engine = AsyncLLM.from_engine_args(
            AsyncEngineArgs(
                model=options.model,
                dtype=options.dtype,
                max_model_len=options.context_tokens,
                max_num_seqs=options.max_sequences,
                # On a CPU compiling lengthens each start; upstream leaves it out of tests too.
                enforce_eager=not options.on_gpu,
                disable_log_stats=True,
                # Free whitespace is where small models go round in circles, and it costs tokens.
                structured_outputs_config=StructuredOutputsConfig(
                    backend="xgrammar", disable_any_whitespace=True
                ),
                **hardware,
            )
        )

    async def generate(self, request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The answer piece by piece (`text`); the last item is the whole one, with its counts.

        Args:
            request: `messages` ({role, content}), `max_tokens`, `temperature`, `schema` (or None).
        """
        from vllm.exceptions import VLLMValidationError

        try:
            prompt = await self._prompt(request["messages"])
        except VLLMValidationError as error:
            if error.parameter not in TOO_LONG:
                raise
            yield {"error": CONTEXT_EXCEEDED, "message": str(error)}
            return
        tokens = len(prompt["prompt_token_ids"])
        room = self._options.context_tokens - tokens
        if room < request["max_tokens"]:
            yield {"error": CONTEXT_EXCEEDED, "message": self._too_long(tokens, request)}
            return
        said, output = "", None
        async for result in self._engine.generate(prompt, _sampling(request), uuid.uuid4().hex):
            output = result.outputs[0]
            if len(output.text) > len(said):
                yield {"text": output.text[len(said) :]}
                said = output.text
        if output is None:
            raise RuntimeError("vLLM ended a request without an answer")
        yield {
            "text": output.text,
            "finish": "length" if output.finish_reason == "length" else "stop",
            "prompt_tokens": tokens,
            "completion_tokens": len(output.token_ids),
            "model": self._options.name,
        }

    async def _prompt(self, messages: Sequence[Mapping[str, str]]) -> Any:
        """The messages by the model's own chat template, as token ids."""
        from vllm.renderers.params import ChatParams

        template = {"add_generation_prompt": True, "continue_final_message": False}
        _, [prompt] = await self._engine.renderer.render_chat_async(
            [[dict(message) for message in messages]], ChatParams(chat_template_kwargs=template)
        )
        return prompt

    def _too_long(self, tokens: int, request: Mapping[str, Any]) -> str:
        return (
            f"The prompt has {tokens} tokens and the answer may have {request['max_tokens']}; "
            f"{self._options.name} takes {self._options.context_tokens} together."
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without those of the chat template."""
        if not texts:
            return []
        encoded = self._engine.get_tokenizer()(list(texts), add_special_tokens=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def describe(self) -> dict[str, Any]:
        """What it is, and how long a prompt and its answer may be together."""
        return {"model": self._options.name, "context_tokens": self._options.context_tokens}

    async def check(self) -> None:
        """Raise where the engine's process has died."""
        await self._engine.check_health()

    def close(self) -> None:
        """End the engine's processes."""
        if self._engine is not None:
            self._engine.shutdown()


def _sampling(request: Mapping[str, Any]) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    schema = request["schema"]
    guided = None if schema is None else StructuredOutputsParams(json=schema)
    return SamplingParams(
        temperature=request["temperature"],
        max_tokens=request["max_tokens"],
        structured_outputs=guided,
    )
