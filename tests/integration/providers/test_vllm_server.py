"""vLLM's own OpenAI server, real weights: what the suite's other servers only play."""

import asyncio
import json
import os
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from pydantic import SecretStr
from tokenizers import Tokenizer

from cluster.settings import EgressSettings, LanguageSettings, LlmProvider, Settings
from serving.errors import ContextExceeded, LlmFailed, LlmUnauthorised
from serving.language import (
    ChatMessage,
    ChatRole,
    Finish,
    Generation,
    GenerationRequest,
    LlmConnection,
)
from serving.language_arguments import CPU
from serving.providers.connect import connect

pytestmark = pytest.mark.llm

KEY = "sk-tests-4f9QzXw81LmPv7Rk"
NAME = "small"
CONTEXT = 512
START_SECONDS = 400
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 40},
        "is_capital": {"type": "boolean"},
        "kind": {"enum": ["town", "village"]},
        "sights": {"type": "array", "items": {"$ref": "#/$defs/Sight"}, "maxItems": 2},
        "best": {"$ref": "#/$defs/Sight", "description": "Which to see first", "default": None},
    },
    "required": ["city"],
    "$defs": {
        "Sight": {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": 20}},
            "required": ["name"],
        }
    },
}


def asking(text: str, max_tokens: int = 40, **more) -> GenerationRequest:
    messages = (
        ChatMessage(ChatRole.system, "You answer in one short sentence."),
        ChatMessage(ChatRole.user, text),
    )
    return GenerationRequest(messages, max_tokens, **more)


@contextmanager
def started(python: Path, weights: Path, log: Path):
    """vLLM's server, on a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [
        *(python, "-m", "vllm.entrypoints.openai.api_server", "--model", weights),
        *("--served-model-name", NAME, "--host", "127.0.0.1", "--port", str(port)),
        *("--max-model-len", str(CONTEXT), "--dtype", CPU.dtype, "--max-num-seqs", "4"),
        *("--enforce-eager", "--api-key", KEY),
    ]
    quiet = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **quiet},
        )
        try:
            _await_health(process, port, log)
            yield port
        finally:
            process.terminate()
            process.wait(60)


def _await_health(process: subprocess.Popen, port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(1)
    raise AssertionError(log.read_text()[-3000:])


@pytest.fixture(scope="module")
def weights() -> Path:
    """The small model's folder."""
    settings = Settings()
    if not settings.language.python.exists():
        pytest.skip(f"{settings.language.python} is not there: `make llm` makes it")
    folder = settings.paths.model_dir / CPU.model
    if not (folder / "model.safetensors").exists():
        pytest.skip(f"{CPU.model} is not fetched: `make llm` fetches it")
    return folder


@pytest.fixture(scope="module")
def port(weights, tmp_path_factory):
    """A server that runs."""
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    with started(Settings().language.python, weights, log) as found:
        yield found


def opened(port: int, **more):
    told = {
        "provider": LlmProvider.vllm,
        "model": NAME,
        "context_tokens": CONTEXT,
        "base_url": f"http://127.0.0.1:{port}/v1",
        "api_key": SecretStr(KEY),
    }
    connection = LlmConnection(**{**told, **more})
    settings = LanguageSettings(retries=0)
    return connect(connection, EgressSettings(allow=f"127.0.0.1:{port}"), settings)


@pytest.fixture
async def model(port):
    found = opened(port)
    yield found
    await found.close()


async def test_an_answer_comes_piece_by_piece_and_then_whole(model):
    *pieces, whole = [item async for item in model.stream(asking("What is the capital of France?"))]
    assert isinstance(whole, Generation)
    assert "".join(pieces) == whole.text
    assert len(pieces) > 1
    assert "Paris" in whole.text
    assert whole.finish is Finish.stop
    assert whole.model == NAME
    assert whole.usage.prompt_tokens > 10
    assert 1 < whole.usage.completion_tokens <= 40


async def test_an_answer_keeps_to_its_schema(model):
    request = asking("Tell me of Paris, as JSON.", 150, schema=SCHEMA)
    answers = await asyncio.gather(*(model.generate(request) for _ in range(3)))
    for answer in answers:
        found = json.loads(answer.text)
        jsonschema.validate(found, SCHEMA)
        assert found.keys() == SCHEMA["properties"].keys()


async def test_an_answer_at_its_limit_is_cut_off(model):
    answer = await model.generate(asking("Count from one to a hundred.", 8))
    assert answer.finish is Finish.length
    assert answer.usage.completion_tokens == 8


async def test_tokens_are_those_of_the_models_own_tokenizer(model, weights):
    tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
    texts = ["What is the capital of France?", "Überweisung am 3. Mai", "会议记录", ""]
    own = [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]
    assert await model.count_tokens(texts) == own


async def test_what_is_too_long_is_refused_and_not_cut(model):
    with pytest.raises(ContextExceeded):
        await model.generate(asking("too long " * CONTEXT))
    with pytest.raises(ContextExceeded):
        await model.generate(asking("Short.", CONTEXT))


async def test_its_model_is_listed(model):
    assert await model.models() == [NAME]


async def test_a_wrong_key_and_an_unknown_model_are_told_apart(port):
    wrong = opened(port, api_key=SecretStr("sk-wrong-00000000"))
    unknown = opened(port, model="large")
    with pytest.raises(LlmUnauthorised):
        await wrong.generate(asking("Hello?"))
    with pytest.raises(LlmFailed, match="does not know the model"):
        await unknown.generate(asking("Hello?"))
    await wrong.close()
    await unknown.close()
