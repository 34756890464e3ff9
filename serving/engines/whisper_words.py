"""Words by Whisper's own times: faster-whisper's pieces joined, where no aligner is at hand."""

from dataclasses import replace
from typing import Any

from serving.engines.word_times import TimedWord, join_pieces

SPACELESS = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages whose words faster-whisper's tokenizer splits by character."""

# faster-whisper's: marks that belong to the word after and to the word before.
PREPENDED = "\"'\u201c\u00bf([{-"
APPENDED = "\"'.\u3002,\uff0c!\uff01?\uff1f:\uff1a\u201d)]}\u3001"


def whisper_words(alignment: list[dict[str, Any]], *, spaced: bool) -> list[TimedWord]:
    """faster-whisper's pieces as words; where no spaces are written, its punctuation rule."""
    from faster_whisper.transcribe import merge_punctuations

    if not spaced:
        merge_punctuations(alignment, PREPENDED, APPENDED)
    pieces = [
        TimedWord(item["word"], item["start"], item["end"], float(item["probability"]))
        for item in alignment
        if item["word"].strip()
    ]
    if spaced:
        return join_pieces(pieces)
    return [replace(piece, word=piece.word.strip()) for piece in pieces]
