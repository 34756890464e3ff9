"""Encrypts the few secrets that must be read again, such as keys of users' language models.

AES-256-GCM. Each text is bound to the id of the row that holds it: copied into another row it
cannot be read, and a changed one cannot be read at all.
"""

import binascii
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cluster.settings import AuthSettings

VERSION = "v1"
"""Begins every text, so that a later way of encryption can be told from this one."""
MIN_KEY_BYTES = 32
NONCE_BYTES = 12
PURPOSE = b"rayscribe encryption v1"
"""Of the derived key: the one that signs tokens is never used for anything else."""


class Undecryptable(Exception):
    """A text was encrypted with another key, for another row, or it is damaged."""

    def __str__(self) -> str:
        """Say what it can be."""
        return "It cannot be decrypted: ENCRYPTION_KEY or SECRET_KEY changed, or it is damaged."


class Encryption:
    """Encrypts and decrypts texts with the key of this installation."""

    def __init__(self, settings: AuthSettings) -> None:
        self._cipher = AESGCM(_derived(_secret(settings)))

    def encrypt(self, text: str, bound_to: str) -> str:
        """The text, encrypted for the row of this id; never twice the same."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), _context(bound_to))
        return f"{VERSION}.{urlsafe_b64encode(nonce + sealed).decode()}"

    def decrypt(self, text: str, bound_to: str) -> str:
        """What was encrypted for the row of this id.

        Raises:
            Undecryptable: with another key, for another row, or it is damaged.
        """
        version, _, encoded = text.partition(".")
        if version != VERSION:
            raise Undecryptable
        try:
            raw = urlsafe_b64decode(encoded.encode())
            nonce, sealed = raw[:NONCE_BYTES], raw[NONCE_BYTES:]
            return self._cipher.decrypt(nonce, sealed, _context(bound_to)).decode()
        # ValueError: too short for a nonce.
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise Undecryptable from error


def _secret(settings: AuthSettings) -> bytes:
    name, chosen = "ENCRYPTION_KEY", settings.encryption_key
    if chosen is None:
        name, chosen = "SECRET_KEY", settings.secret_key
    secret = chosen.get_secret_value().encode() if chosen else b""
    if len(secret) < MIN_KEY_BYTES:
        raise ValueError(
            f"{name} is not set or shorter than {MIN_KEY_BYTES} bytes: "
            "start with `rayscribe up`, or set a random one"
        )
    return secret


def _derived(secret: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=PURPOSE).derive(secret)


def _context(bound_to: str) -> bytes:
    return f"{VERSION}:{bound_to}".encode()
