"""What Whisper's encoder takes and makes; the latter kept where it is soon needed again."""

import hashlib
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from serving.speech import Pcm

Mel = npt.NDArray[np.float32]
"""Log-mel features of one window, shape (bins, frames)."""
Encoded = npt.NDArray[np.float32]
"""What the encoder made of one window, shape (positions, width)."""


class KeptEncodings:
    """Of the latest windows asked for their language, by their sound; each is given out once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[bytes, Encoded] = OrderedDict()

    def keep(self, audio: Pcm, encoded: Encoded) -> None:
        """Keep one, in the place of the oldest."""
        self._kept[_key(audio)] = encoded.copy()
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def holds(self, audio: Pcm) -> bool:
        """Whether this window's is kept."""
        return bool(self._kept) and _key(audio) in self._kept

    def take(self, audio: Pcm) -> Encoded | None:
        """This window's, if it is kept; it is not kept any more."""
        return self._kept.pop(_key(audio), None) if self._kept else None


def _key(audio: Pcm) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(audio).data, digest_size=16).digest()
