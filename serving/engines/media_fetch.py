"""Brings a media file from our own object store into a file without a name, and one back.

Nobody else in `serving` opens a URL. The file is unlinked from the start: no program can be given
its name, nothing of it survives a crash, and a sandboxed reader gets it as a descriptor.
"""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

import httpx

from serving.errors import MediaInvalid, SpeechUnavailable
from serving.speech import MediaSource

MIB = 1024 * 1024
CHUNK_BYTES = MIB


@contextmanager
def spooled(directory: Path | None) -> Iterator[BinaryIO]:
    """An unlinked temporary file, which a sandboxed program of another user may read.

    Args:
        directory: on which file system; None: the machine's directory for temporary files.
    """
    with tempfile.TemporaryFile(dir=directory) as file:
        # It has no name, so only who inherits the descriptor can reach it whatever its mode.
        os.fchmod(file.fileno(), 0o644)
        yield file


@cache
def _certificates() -> ssl.SSLContext:
    # Read once: it costs more than fetching a small file.
    return httpx.create_ssl_context()


class MediaFetch:
    """Reads one source by HTTP: no redirects, no proxies, never more bytes than expected."""

    def __init__(self, source: MediaSource, timeout_seconds: float) -> None:
        self._source = source
        self._client = httpx.Client(
            timeout=timeout_seconds,
            verify=_certificates(),
            follow_redirects=False,
            trust_env=False,
            headers={"Accept-Encoding": "identity"},
        )

    def whole(self, file: BinaryIO) -> None:
        """Write the whole source to `file`.

        Raises:
            MediaInvalid: the stored object has another size than was recorded.
            SpeechUnavailable: the object store did not deliver, or the disk is full.
        """
        self._copy(file, 0, self._source.size_bytes)

    def ends(self, file: BinaryIO, length: int) -> None:
        """Write head and tail to `file` at their true places; what is between reads as zeros.

        Args:
            file: the target.
            length: bytes of the head, and of the tail.

        Raises:
            MediaInvalid, SpeechUnavailable: as `whole`.
        """
        size = self._source.size_bytes
        os.ftruncate(file.fileno(), size)
        self._copy(file, 0, length)
        self._copy(file, size - length, length)

    def deliver(self, file: BinaryIO, url: str) -> None:
        """Put a file to a URL of the object store.

        Raises:
            SpeechUnavailable: the object store did not take it.
        """
        length = str(os.fstat(file.fileno()).st_size)
        file.seek(0)
        try:
            answer = self._client.put(url, content=file, headers={"Content-Length": length})
        except httpx.HTTPError as error:
            kind = type(error).__name__
            raise SpeechUnavailable(f"The object store did not take the file: {kind}") from None
        if not answer.is_success:
            raise SpeechUnavailable(f"The object store answered {answer.status_code} to a file")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _copy(self, file: BinaryIO, start: int, length: int) -> None:
        whole = length == self._source.size_bytes
        headers = {} if whole else {"Range": f"bytes={start}-{start + length - 1}"}
        try:
            with self._client.stream("GET", self._source.url, headers=headers) as response:
                self._check_status(response, 200 if whole else 206)
                self._check_size(response)
                received = self._write(response, file, start, length)
        except httpx.HTTPError as error:
            # The text of the error may hold the URL, and the URL holds a signature.
            kind = type(error).__name__
            raise SpeechUnavailable(f"The object store did not deliver the file: {kind}") from None
        if received != length:
            raise SpeechUnavailable(
                f"The object store delivered {received} of {length} bytes of the file"
            )

    @staticmethod
    def _check_status(response: httpx.Response, expected: int) -> None:
        # 416: the range lies behind the object's end, which the size check below words better.
        if response.status_code not in {expected, 416}:
            raise SpeechUnavailable(
                f"The object store answered {response.status_code} instead of {expected}"
            )

    def _check_size(self, response: httpx.Response) -> None:
        length = response.headers.get("Content-Length", "unknown")
        size = response.headers.get("Content-Range", f"/{length}").rpartition("/")[2]
        if size != str(self._source.size_bytes):
            raise MediaInvalid(
                f"The stored file has {size} bytes where {self._source.size_bytes} were uploaded."
                " Upload it again."
            )

    @staticmethod
    def _write(response: httpx.Response, file: BinaryIO, start: int, length: int) -> int:
        position = start
        for chunk in response.iter_raw(CHUNK_BYTES):
            view = memoryview(chunk)[: start + length - position]
            try:
                written = os.pwrite(file.fileno(), view, position)
            except OSError as error:
                raise SpeechUnavailable(f"The file cannot be spooled: {error.strerror}") from error
            position += written
            if written < len(chunk):
                break
        return position - start
