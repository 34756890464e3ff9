"""How many tokens a text has, about, where no tokenizer can be asked: rather too many than too few.

Tokenizers know whole words of English, halves of words of other languages in Latin letters, and of
many scripts little more than bytes. The figures are the highest that were measured with five
tokenizers (Qwen 2.5, Whisper, DeepSeek, OpenAI's cl100k and o200k) over the texts of
`tests/fixtures/languages.json`.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Iterable

from serving.language import ChatMessage

SENTENCES = re.compile(r"[^.!?:\n]*[.!?:\n]+|[^.!?:\n]+")
"""Each is in one language."""
PIECES = re.compile(r"[A-Za-z]+|\s+|.")
ENGLISH = re.compile(
    "and|are|but|can|for|have|is|it|just|like|not|of|that|the|they|this|was|we|what|with|you",
    re.IGNORECASE,
)
"""Words that are a quarter of spoken English, and rare elsewhere."""
ENGLISH_SHARE = 0.12
SHORT_LETTERS = 3
"""A word up to here is one token, whatever its language."""
LETTERS_PER_TOKEN = 2.3
SHORT_ENGLISH_LETTERS = 6
ENGLISH_LETTERS_PER_TOKEN = 3.5

MESSAGE_TOKENS = 8
"""What a chat template puts around a message."""

SCRIPTS = (
    (0x80, 1.3),  # Latin letters with marks
    (0x250, 2.2),  # combining marks
    (0x370, 1.3),  # Greek
    (0x400, 0.8),  # Cyrillic
    (0x530, 2.2),  # Armenian
    (0x590, 1.3),  # Hebrew, Arabic
    (0x780, 2.2),
    (0x900, 1.5),  # Devanagari
    (0x980, 2.5),  # other scripts of India
    (0xE00, 2.1),  # Thai
    (0xE80, 3.0),  # Lao, Tibetan, Burmese, Georgian, Ethiopic, Khmer: bytes
    (0x1E00, 2.6),  # Latin letters with two marks
    (0x2000, 3.0),  # signs
    (0x3000, 1.6),  # Kana, Chinese
    (0xAC00, 1.6),  # Hangul
    (0xD7B0, 3.0),
    (0xFF00, 1.6),  # full-width forms
    (0x10000, 4.0),  # emoji, rare signs: bytes
)
"""Tokens of a character, from a code point on."""
STARTS = [start for start, _ in SCRIPTS]


def estimate(text: str) -> int:
    """Tokens of a text."""
    # No word follows the last blank.
    return math.ceil(sum(map(_of_sentence, SENTENCES.findall(text)))) + text.endswith(" ")


def estimate_prompt(messages: Iterable[ChatMessage]) -> int:
    """Tokens of messages with what stands around them."""
    return sum(estimate(message.content) + MESSAGE_TOKENS for message in messages)


def _of_sentence(text: str) -> float:
    pieces = PIECES.findall(text)
    english = _is_english(pieces)
    return sum(_tokens(piece, english) for piece in pieces)


def _is_english(pieces: Iterable[str]) -> bool:
    words = [piece for piece in pieces if piece.isascii() and piece.isalpha()]
    known = sum(ENGLISH.fullmatch(word) is not None for word in words)
    return bool(words) and known >= ENGLISH_SHARE * len(words)


def _tokens(piece: str, english: bool) -> float:
    if piece.isspace():
        # One blank belongs to the word that follows.
        return len(piece.encode()) - (piece[-1] == " ")
    if not piece.isascii():
        return SCRIPTS[bisect_right(STARTS, ord(piece)) - 1][1]
    if not piece.isalpha():
        return 1
    short = SHORT_ENGLISH_LETTERS if english else SHORT_LETTERS
    letters_per_token = ENGLISH_LETTERS_PER_TOKEN if english else LETTERS_PER_TOKEN
    return 1 if len(piece) <= short else math.ceil(len(piece) / letters_per_token)
