"""The REST API as the command line uses it: sign in, upload in parts, follow, fetch."""

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from rayscribe.bootstrap import Credential
from rayscribe.task_follower import StreamBroken, TaskFollower

TRIES = 5
PAUSE_SECONDS = 0.5
STREAM_TIMEOUT = httpx.Timeout(45, connect=5)
"""A stream is never silent for longer than its heartbeat of 15 s."""
PASSING = frozenset({429, 502, 503, 504})

Progress = Callable[[str, float], None]
"""What is being done, and how much of it (0..1)."""


class ApiFailure(Exception):
    """The API refused, or did not answer."""

    def __init__(
        self, message: str, error_type: str = "", body: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.body = dict(body or {})


@dataclass(frozen=True, slots=True)
class Submitted:
    """A file that the service has accepted; no task where it had the same bytes already."""

    file_id: str
    task_id: str | None


class ApiClient:
    """One signed-in user."""

    def __init__(self, url: str, token: str | None, credential: Credential | None) -> None:
        self._http = httpx.Client(base_url=url, timeout=httpx.Timeout(60, connect=5))
        self._credential = credential
        self._token = token

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _sign_in(self) -> None:
        if self._credential is None:
            raise ApiFailure(
                "no credential: set RAYSCRIBE_TOKEN, or use the data directory of a local `up`"
            )
        form = {"username": self._credential.email, "password": self._credential.password}
        answer = self._http.post("/api/auth/login", data=form)
        self._token = self._data(answer)["access_token"]

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One answer; what may pass is asked again, an expired token renewed."""
        for attempt in range(TRIES):
            try:
                if self._token is None:
                    self._sign_in()
                headers = {
                    "Authorization": f"Bearer {self._token}",
                    **request.get("headers", {}),
                }
                answer = self._http.request(method, path, **{**request, "headers": headers})
            except httpx.TransportError as error:
                if attempt == TRIES - 1:
                    where = self._http.base_url
                    raise ApiFailure(f"{where} does not answer ({error})") from error
            else:
                if answer.status_code == 401 and self._credential is not None and attempt == 0:
                    self._token = None
                    continue
                if answer.status_code == 401:
                    raise ApiFailure("RAYSCRIBE_TOKEN is not valid, or has expired: sign in anew")
                if answer.status_code not in PASSING or attempt == TRIES - 1:
                    return answer
            time.sleep(PAUSE_SECONDS * 2**attempt)
        raise ApiFailure(f"{self._http.base_url} does not answer")

    @staticmethod
    def _data(answer: httpx.Response) -> Any:
        if answer.is_success:
            return answer.json()["data"] if answer.content else None
        try:
            body = answer.json()
        except ValueError:
            body = {"detail": answer.text[:200] or answer.reason_phrase}
        detail = body.get("detail", "")
        fields = "; ".join(
            f"{item.get('pointer', '')}: {item.get('detail', '')}"
            for item in body.get("errors", [])
        )
        # Of a single field the detail says it already.
        message = f"{detail} ({fields})" if fields and fields not in detail else str(detail)
        raise ApiFailure(message, body.get("error_type", ""), body)

    def submit(self, path: Path, options: Mapping[str, Any], progress: Progress) -> Submitted:
        """Upload a file in parts; parts that the service has are not sent again."""
        digest = sha256(path, progress)
        body = {
            "filename": path.name,
            "size_bytes": path.stat().st_size,
            "sha256": digest,
            "options": {key: value for key, value in options.items() if value is not None},
        }
        try:
            upload = self._data(self._ask("POST", "/api/files/upload/prepare", json=body))
            done = self._completed(path, upload, digest, progress)
        except ApiFailure as failure:
            existing = failure.body.get("existing_file_id")
            if failure.error_type == "duplicate_file" and existing:
                return Submitted(existing, None)
            raise
        return Submitted(done["file"]["id"], done["task"]["id"])

    def _completed(
        self, path: Path, upload: Mapping[str, Any], digest: str, progress: Progress
    ) -> Any:
        """Send and complete an upload; one that is refused takes no place any longer."""
        url = f"/api/files/upload/{upload['upload_id']}"
        try:
            self._send(path, upload, progress)
            timeout = httpx.Timeout(3600, connect=5)
            body = {"sha256": digest}
            return self._data(self._ask("POST", f"{url}/complete", json=body, timeout=timeout))
        except ApiFailure as failure:
            if failure.error_type:
                self._ask("DELETE", url)
            raise

    def _send(self, path: Path, upload: Mapping[str, Any], progress: Progress) -> None:
        size, part_bytes = path.stat().st_size, upload["part_bytes"]
        received = set(upload["parts_received"])
        with path.open("rb") as file:
            for number in range(1, upload["part_count"] + 1):
                if number not in received:
                    file.seek((number - 1) * part_bytes)
                    self._data(
                        self._ask(
                            "PUT",
                            f"/api/files/upload/{upload['upload_id']}/parts/{number}",
                            content=file.read(part_bytes),
                        )
                    )
                progress("uploading", min(1.0, number * part_bytes / max(1, size)))

    def follow(self, task_id: str) -> Iterator[Mapping[str, Any]]:
        """The task, as it changes, until it has ended."""
        return TaskFollower(self, task_id).states()

    def task(self, task_id: str) -> Mapping[str, Any]:
        """The task as it is now."""
        found: Mapping[str, Any] = self._data(self._ask("GET", f"/api/tasks/{task_id}"))
        return found

    @contextmanager
    def event_lines(self, file_id: str, last_event_id: str | None) -> Iterator[Iterator[str]]:
        """The lines of a file's event stream.

        Raises:
            StreamBroken: it could not be opened for now, or broke.
            ApiFailure: the API refused.
        """
        headers = {"Authorization": f"Bearer {self._token}"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        # To the end of the task that is followed, which is not always the newest transcription.
        path = f"/api/files/streaming/{file_id}/events?follow=true"
        try:
            with self._http.stream("GET", path, headers=headers, timeout=STREAM_TIMEOUT) as answer:
                # A token that has expired is renewed when the task is asked for.
                if answer.status_code in {*PASSING, 401}:
                    raise StreamBroken(f"{path}: {answer.status_code}")
                if not answer.is_success:
                    answer.read()
                    self._data(answer)
                yield answer.iter_lines()
        except httpx.TransportError as error:
            raise StreamBroken(str(error)) from error

    def transcription_of(self, file_id: str) -> Mapping[str, Any] | None:
        """The latest task that transcribed a file, or does; None: there was none."""
        params = {"file_id": file_id, "kind": "transcription"}
        items = self._data(self._ask("GET", "/api/tasks", params=params))["items"]
        return items[0] if items else None

    def transcript(self, file_id: str) -> Mapping[str, Any]:
        """A file's transcript with words and speakers."""
        found: Mapping[str, Any] = self._data(self._ask("GET", f"/api/files/{file_id}/transcript"))
        return found

    def summary_state(self, file_id: str) -> Mapping[str, Any]:
        """How a file's summary stands."""
        answer = self._ask("GET", f"/api/summarization/{file_id}/status")
        found: Mapping[str, Any] = self._data(answer)
        return found

    def summarize(self, file_id: str) -> Mapping[str, Any]:
        """Have a file summarised; the task."""
        answer = self._ask("POST", f"/api/summarization/{file_id}", json={})
        task: Mapping[str, Any] = self._data(answer)
        return task

    def summary(self, file_id: str) -> Mapping[str, Any]:
        """A file's newest summary."""
        found: Mapping[str, Any] = self._data(self._ask("GET", f"/api/summarization/{file_id}"))
        return found

    def voiceprints(self) -> Mapping[str, Any]:
        """Which models' voiceprints there are; for administrators."""
        found: Mapping[str, Any] = self._data(self._ask("GET", "/api/admin/voiceprints"))
        return found

    def reembed(self) -> Iterator[Mapping[str, Any]]:
        """Queue what is of another model, request by request, until nothing is left to queue."""
        while True:
            queued: Mapping[str, Any] = self._data(
                self._ask("POST", "/api/admin/voiceprints/reembed")
            )
            yield queued
            if not queued["more"]:
                return

    def read(self, path: str, **params: Any) -> Any:
        """The data of an answer."""
        return self._data(self._ask("GET", path, params=params))

    def send(self, path: str, body: Mapping[str, Any]) -> Any:
        """Post a body; the data of the answer. However often it is sent, it has one effect."""
        # One key for all tries: an answer that was lost does not mean that nothing was done.
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return self._data(self._ask("POST", path, json=dict(body), headers=headers))

    def send_file(self, path: str, file: Path) -> Any:
        """Post a small file; the data of the answer."""
        content = file.read_bytes()
        return self._data(self._ask("POST", path, files={"file": (file.name, content)}))

    def fetch(self, path: str, target: Path) -> None:
        """Keep what is answered, which is no JSON."""
        answer = self._ask("GET", path)
        if not answer.is_success:
            self._data(answer)
        target.write_bytes(answer.content)

    def export(self, file_id: str, form: str) -> str:
        """A transcript in one of the export formats."""
        answer = self._ask("GET", f"/api/files/{file_id}/exports/{form}")
        if not answer.is_success:
            self._data(answer)
        return answer.text


def sha256(path: Path, progress: Progress) -> str:
    """The file's digest, read in pieces."""
    digest, size, done = hashlib.sha256(), max(1, path.stat().st_size), 0
    with path.open("rb") as file:
        while piece := file.read(8 * 1024 * 1024):
            digest.update(piece)
            done += len(piece)
            progress("reading", done / size)
    return digest.hexdigest()
