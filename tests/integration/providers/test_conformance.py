"""What every provider of language models does alike: answers, schemas, counts, names."""

import pytest

from serving.language import (
    ChatMessage,
    ChatRole,
    Finish,
    Generation,
    GenerationRequest,
    TokenUsage,
)
from serving.providers.estimates import estimate, estimate_prompt
from serving.providers.openai_chat import THOUGHT_TOKENS
from tests.fixtures.llm_servers import KEY, TEXT, LlmServer
from tests.fixtures.llm_wires import MODEL, WIRES, words

PROVIDERS = [wire.provider.value for wire in WIRES]
SCHEMA = {
    "type": "object",
    "properties": {"owner": {"type": "string"}, "due": {"type": "string", "default": ""}},
    "required": ["owner"],
}
MESSAGES = (
    ChatMessage(ChatRole.system, "You take notes."),
    ChatMessage(ChatRole.user, "Who does what?"),
    ChatMessage(ChatRole.assistant, "Nobody anything."),
    ChatMessage(ChatRole.user, "Look again, please."),
)
PROMPT_TOKENS = words(" ".join(message.content for message in MESSAGES))


def asking(max_tokens: int = 50, **more) -> GenerationRequest:
    return GenerationRequest(MESSAGES, max_tokens, **{"temperature": 0.2, **more})


@pytest.fixture(params=PROVIDERS)
def server(request, llm_servers) -> LlmServer:
    return llm_servers.of[request.param]


@pytest.fixture
async def model(server):
    opened = server.model()
    yield opened
    await opened.close()


async def test_an_answer_comes_piece_by_piece_and_then_whole(server, model):
    *pieces, whole = [item async for item in model.stream(asking())]
    text = "".join(TEXT)
    assert pieces == list(TEXT)
    counted = TokenUsage(PROMPT_TOKENS, words(text), 1)
    if server.wire.provider == "custom":
        # It does not say.
        counted = TokenUsage(estimate_prompt(MESSAGES), estimate(text), 1)
    assert whole == Generation(text, Finish.stop, counted, MODEL)
    assert await model.generate(asking()) == whole


async def test_a_request_says_what_was_asked_with_the_key_and_nothing_of_the_environment(
    server, monkeypatch
):
    for name in (
        *("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"),
        *("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OLLAMA_API_KEY"),
    ):
        monkeypatch.setenv(name, "the operator's")
    for name in ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "Authorization: the operator's\nX-More: the operator's")
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "OLLAMA_HOST", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/operator")
    model = server.model()
    await model.generate(asking(max_tokens=77))
    await model.close()
    (asked,) = server.asked
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert "the operator's" not in str(asked.headers)
    assert asked.headers["accept-encoding"] == "identity"
    limit, temperature = server.wire.limits(asked.body)
    # Anthropic's models do not take a temperature any more.
    assert temperature == (None if server.wire.provider == "anthropic" else 0.2)
    assert limit == 77
    assert words(server.wire.prompt(asked.body)) == PROMPT_TOKENS


async def test_the_length_of_the_context_is_ollamas_to_know(llm_servers):
    server = llm_servers.of["ollama"]
    model = server.model()
    await model.generate(asking())
    await model.close()
    assert server.chats[0]["options"]["num_ctx"] == server.connection().context_tokens


async def test_an_answer_at_its_limit_says_that_it_is_cut_off(server, model):
    server.length = True
    assert (await model.generate(asking())).finish is Finish.length


async def test_a_schema_goes_along_by_the_providers_own_means(server, model):
    server.wire.takes_json_schema, before = True, getattr(server.wire, "takes_json_schema", True)
    try:
        await model.generate(asking(schema=SCHEMA))
    finally:
        server.wire.takes_json_schema = before
    (chat,) = server.chats
    sent = server.wire.schema(chat)
    assert set(sent["properties"]) == {"owner", "due"}
    assert sent["required"] == ["owner", "due"]
    assert sent["additionalProperties"] is False
    assert "schema" not in server.wire.prompt(chat)


async def test_a_server_that_takes_no_schema_is_asked_in_its_own_way_from_then_on(server, model):
    server.takes_schema = False
    for asked in (2, 3):
        assert (await model.generate(asking(schema=SCHEMA))).text == "".join(TEXT)
        assert len(server.chats) == asked
    last = server.chats[-1]
    assert server.wire.schema(last) is None
    if server.wire.provider == "anthropic":
        assert last["tools"][0]["input_schema"]["required"] == ["owner", "due"]
        return
    assert '"owner"' in server.wire.prompt(last)
    assert server.wire.prompt(last).startswith("You take notes.")
    form = last.get("format") or last["response_format"]["type"]
    assert form in {"json", "json_object"}
    # Without a schema nothing of this is said.
    await model.generate(asking())
    assert words(server.wire.prompt(server.chats[-1])) == PROMPT_TOKENS


async def test_what_is_wrong_with_a_request_anyway_is_not_blamed_on_the_schema(server, model):
    for _ in range(2):
        server.fail("bad request")
    with pytest.raises(Exception, match="HTTP 400"):
        await model.generate(asking(schema=SCHEMA))
    server.wire.takes_json_schema, before = True, getattr(server.wire, "takes_json_schema", True)
    try:
        await model.generate(asking(schema=SCHEMA))
    finally:
        server.wire.takes_json_schema = before
    assert server.wire.schema(server.chats[-1]) is not None


async def test_the_models_of_a_provider_are_listed(model):
    assert await model.models() == [MODEL]


async def test_tokens_are_counted_by_the_providers_tokenizer_or_rather_too_high(server, model):
    texts = ["one two three", "", "four"]
    counts = await model.count_tokens(texts)
    if server.wire.counting:
        assert counts == [3, 0, 1]
        assert [asked.path for asked in server.asked] == [server.wire.counting] * 2
    else:
        assert counts == [estimate(text) for text in texts]
        assert server.asked == []


async def test_many_texts_are_counted_in_few_questions_and_their_sum_is_right(server, model):
    texts = [f"word {number} and some more of them" for number in range(2000)]
    counts = await model.count_tokens(texts)
    whole = sum(map(words, texts))
    assert len(counts) == len(texts)
    assert whole <= sum(counts)
    assert all(counts)
    if server.wire.counting:
        assert sum(counts) <= whole + len(texts)
        assert len(server.asked) < 10


@pytest.mark.parametrize("name", ["o3-mini", "gpt-5-mini", "openai/gpt-5.1"])
async def test_a_model_that_thinks_is_given_room_and_no_temperature(llm_servers, name):
    server = llm_servers.of["openai"]
    server.fail("unknown model")
    model = server.model(server.connection(model=name))
    with pytest.raises(Exception, match="does not know the model"):
        await model.generate(asking(max_tokens=100))
    await model.close()
    (chat,) = server.chats
    assert chat["max_completion_tokens"] == 100 + THOUGHT_TOKENS
    assert "temperature" not in chat
    assert "max_tokens" not in chat


async def test_a_server_without_a_tokenizer_route_is_not_asked_again(llm_servers):
    server = llm_servers.of["vllm"]
    server.counts = False
    model = server.model()
    for _ in range(2):
        assert await model.count_tokens(["one two"]) == [estimate("one two")]
    await model.close()
    assert len(server.asked) == 1


@pytest.mark.parametrize("provider", ["vllm", "ollama", "custom"])
async def test_without_a_key_none_is_sent(llm_servers, provider):
    server = llm_servers.of[provider]
    model = server.model(server.connection(api_key=None))
    with pytest.raises(Exception, match="does not take the key"):
        await model.generate(asking())
    await model.close()
    assert "authorization" not in server.asked[0].headers
