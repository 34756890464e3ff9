"""Settings of language models that are refused, and what they mean."""

import pytest
from pydantic import ValidationError

from cluster.settings import LanguageSettings, LlmProvider


def test_all_providers_are_allowed_unless_the_operator_says_which():
    assert LanguageSettings().allowed_providers == set(LlmProvider)
    some = LanguageSettings(providers="local, vllm")
    assert some.allowed_providers == {LlmProvider.local, LlmProvider.vllm}


def test_what_is_no_provider_is_refused_at_the_start():
    with pytest.raises(ValidationError, match="chatgpt"):
        LanguageSettings(providers="local,chatgpt")
