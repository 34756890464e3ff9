"""The language model inside the cluster for real: vLLM on this machine's CPU, through the API."""

import pytest

from pipelines.language.bluf import Bluf
from tests.e2e.test_summaries import SUMMARIES, data, summarised, uploaded
from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.llm, pytest.mark.timeout(1800)]


def test_the_sample_gets_a_real_summary(llm_stack: Stack):
    with llm_stack.client() as client:
        file_id = uploaded(client, sample())
        summary = summarised(client, file_id, 900)
        content = Bluf.model_validate(summary["content"])
        assert content.bluf
        assert content.brief_summary
        assert content.major_topics
        assert sum(one.talk_time_percentage for one in content.speakers_analysis) <= 100.5
        assert summary["model"] == "qwen2.5-coder-0.5b-instruct"
        assert summary["completion_tokens"] > 20
        versions = data(client.get(f"{SUMMARIES}/{file_id}/versions"))
        assert versions["total"] == 1
