"""What the command line sends again, against a server that fails at first."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from rayscribe import api_client
from rayscribe.api_client import ApiClient


@contextmanager
def failing_once() -> Iterator[tuple[str, list[str | None]]]:
    """A server whose first answer is 503, and the idempotency keys that it was sent."""
    keys: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            keys.append(self.headers["Idempotency-Key"])
            body = b'{"data": "begun"}'
            self.send_response(503 if len(keys) == 1 else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: pytest shows what failed."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", keys
        finally:
            server.shutdown()
            thread.join()


def test_what_is_sent_again_has_the_same_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(api_client, "PAUSE_SECONDS", 0.0)
    with failing_once() as (url, keys):
        client = ApiClient(url, "token", None)
        try:
            assert client.send("/api/admin/backfills", {"stage": "re-index"}) == "begun"
            assert client.send("/api/admin/backfills", {"stage": "re-index"}) == "begun"
        finally:
            client.close()
    first, again, other = keys
    assert first
    assert first == again != other
