"""Who may do what: every route of the OpenAPI document against every kind of caller.

`WHO` has each route; one that is not in it fails here, so that nobody adds a route without saying
whom it serves. Bodies are the document's own examples.
"""

import re
import uuid
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, select, update

from api.dependencies import Services
from api.security import AccessTokens
from db.engine import session_scope
from db.models import AuditEvent, Role, User
from tests.contract.document import Operation, example_body, operations
from tests.fixtures.world import furnish


class Who(StrEnum):
    """Whom a route serves."""

    anybody = "anybody"
    user = "user"
    owner = "owner"
    reader = "reader"
    """Its owner, and administrators, which the audit log then tells."""
    admin = "admin"


WHO = {
    Who.anybody: [
        "GET /api/auth/methods",
        "GET /api/auth/password-policy",
        "POST /api/auth/register",
        "POST /api/auth/login",
        "POST /api/auth/token/refresh",
        "POST /api/auth/token",
        "GET /api/auth/oidc/login",
        "GET /api/auth/oidc/callback",
        "GET /health",
        "GET /health/ready",
        "GET /metrics",
    ],
    Who.user: [
        "GET /api/auth/me",
        "POST /api/auth/password",
        "GET /api/auth/sessions",
        "POST /api/auth/logout",
        "POST /api/auth/logout/all",
        "GET /api/users/me",
        "GET /api/users/me/usage",
        "PUT /api/users/me",
        "POST /api/files/upload",
        "GET /api/files/upload",
        "POST /api/files/upload/prepare",
        "POST /api/files/url-processing",
        "GET /api/files/url-processing/quota",
        "POST /api/files/management/bulk-action",
        "GET /api/files/management/stuck",
        "GET /api/files",
        "GET /api/files/metadata-filters",
        "GET /api/my-files/status",
        "POST /api/my-files/request-recovery",
        "GET /api/tags",
        "POST /api/tags",
        "GET /api/tags/unused",
        "DELETE /api/tags/unused",
        "GET /api/collections",
        "POST /api/collections",
        "GET /api/speakers",
        "GET /api/speakers/names",
        "GET /api/speakers/changes",
        "POST /api/speakers",
        "POST /api/speakers/cleanup-orphaned-embeddings",
        "GET /api/speaker-profiles/profiles",
        "POST /api/speaker-profiles/profiles",
        "GET /api/speaker-profiles/collections",
        "POST /api/speaker-profiles/collections",
        "GET /api/speaker-clusters",
        "GET /api/speaker-clusters/stats",
        "POST /api/speaker-clusters/recluster",
        "GET /api/llm-settings/providers",
        "GET /api/llm-settings/status",
        "GET /api/llm-settings",
        "POST /api/llm-settings",
        "POST /api/llm-settings/set-active",
        "DELETE /api/llm-settings/all",
        "POST /api/llm-settings/test",
        "POST /api/llm-settings/test-current",
        "GET /api/llm-settings/models",
        "POST /api/llm-settings/models",
        "GET /api/prompts",
        "POST /api/prompts",
        "GET /api/prompts/by-content-type/{content_type}",
        "GET /api/prompts/active/current",
        "POST /api/prompts/active/set",
        "POST /api/summarization/search",
        "GET /api/summarization/analytics",
        "POST /api/summarization/topics/batch",
        "GET /api/user-settings/ai-summary",
        "PUT /api/user-settings/ai-summary",
        "DELETE /api/user-settings/ai-summary",
        "GET /api/user-settings/all",
        "GET /api/user-settings/recording",
        "PUT /api/user-settings/recording",
        "DELETE /api/user-settings/recording",
        "GET /api/user-settings/transcription",
        "PUT /api/user-settings/transcription",
        "DELETE /api/user-settings/transcription",
        "GET /api/user-settings/audio-extraction",
        "PUT /api/user-settings/audio-extraction",
        "DELETE /api/user-settings/audio-extraction",
        "GET /api/user-settings/download",
        "PUT /api/user-settings/download",
        "DELETE /api/user-settings/download",
        "GET /api/tasks",
        "GET /api/search",
        "GET /api/search/suggestions",
        "GET /api/search/filters",
        "GET /api/search/reindex/status",
        "GET /api/search/index-health",
        "GET /api/search/models",
    ],
    Who.owner: [
        "DELETE /api/auth/sessions/{session_id}",
        "GET /api/files/upload/{upload_id}",
        "DELETE /api/files/upload/{upload_id}",
        "PUT /api/files/upload/{upload_id}/parts/{number}",
        "GET /api/files/upload/{upload_id}/parts/{number}",
        "POST /api/files/upload/{upload_id}/complete",
        "GET /api/files/url-processing/{task_id}",
        "GET /api/files/url-processing/{task_id}/entries",
        "POST /api/files/url-processing/{task_id}/cancel",
        "DELETE /api/files/streaming/{file_id}/cache",
        "GET /api/files/streaming/{file_id}/events",
        "PUT /api/files/{file_id}",
        "DELETE /api/files/{file_id}",
        "POST /api/files/{file_id}/reprocess",
        "PUT /api/files/{file_id}/transcript/segments/{segment_id}",
        "POST /api/files/{file_id}/transcript/segments/{segment_id}/split",
        "POST /api/files/{file_id}/transcript/segments/merge",
        "POST /api/files/{file_id}/transcript/edits/{edit_id}/undo",
        "POST /api/files/{file_id}/analytics/refresh",
        "PUT /api/tags/{tag_id}",
        "DELETE /api/tags/{tag_id}",
        "POST /api/tags/files/{file_id}",
        "DELETE /api/tags/files/{file_id}/{tag_id}",
        "GET /api/collections/{collection_id}",
        "PUT /api/collections/{collection_id}",
        "DELETE /api/collections/{collection_id}",
        "GET /api/collections/{collection_id}/media",
        "POST /api/collections/{collection_id}/media",
        "POST /api/collections/{collection_id}/media/remove",
        "GET /api/speakers/{speaker_id}",
        "PUT /api/speakers/{speaker_id}",
        "DELETE /api/speakers/{speaker_id}",
        "DELETE /api/speakers/{speaker_id}/voiceprint",
        "POST /api/speakers/{speaker_id}/verify",
        "GET /api/speakers/{speaker_id}/cross-media",
        "GET /api/speakers/{speaker_id}/propagation",
        "POST /api/speakers/{speaker_id}/propagation",
        "POST /api/speakers/{speaker_id}/merge/{target_speaker_id}",
        "POST /api/speakers/{speaker_id}/split",
        "POST /api/speakers/changes/{change_id}/undo",
        "GET /api/speaker-profiles/profiles/{profile_id}",
        "PUT /api/speaker-profiles/profiles/{profile_id}",
        "DELETE /api/speaker-profiles/profiles/{profile_id}",
        "POST /api/speaker-profiles/profiles/{profile_id}/merge/{target_profile_id}",
        "GET /api/speaker-profiles/profiles/{profile_id}/occurrences",
        "POST /api/speaker-profiles/profiles/{profile_id}/erase",
        "GET /api/speaker-profiles/profiles/{profile_id}/enrolments",
        "POST /api/speaker-profiles/profiles/{profile_id}/enrolments",
        "DELETE /api/speaker-profiles/profiles/{profile_id}/enrolments/{enrolment_id}",
        "POST /api/speaker-profiles/speakers/{speaker_id}/assign-profile",
        "DELETE /api/speaker-profiles/speakers/{speaker_id}/profile",
        "GET /api/speaker-profiles/speakers/{speaker_id}/suggestions",
        "GET /api/speaker-profiles/collections/{speaker_collection_id}",
        "PUT /api/speaker-profiles/collections/{speaker_collection_id}",
        "DELETE /api/speaker-profiles/collections/{speaker_collection_id}",
        "GET /api/speaker-profiles/collections/{speaker_collection_id}/profiles",
        "POST /api/speaker-profiles/collections/{speaker_collection_id}/profiles",
        "POST /api/speaker-profiles/collections/{speaker_collection_id}/profiles/remove",
        "GET /api/speaker-clusters/{cluster_id}",
        "PUT /api/speaker-clusters/{cluster_id}",
        "DELETE /api/speaker-clusters/{cluster_id}",
        "GET /api/speaker-clusters/{cluster_id}/members",
        "GET /api/speaker-clusters/{cluster_id}/outliers",
        "POST /api/speaker-clusters/{cluster_id}/promote",
        "POST /api/speaker-clusters/{source_cluster_id}/merge/{target_cluster_id}",
        "POST /api/speaker-clusters/{cluster_id}/split",
        "POST /api/speaker-clusters/{cluster_id}/unassign",
        "GET /api/llm-settings/config/{config_id}",
        "PUT /api/llm-settings/config/{config_id}",
        "DELETE /api/llm-settings/config/{config_id}",
        "POST /api/llm-settings/test-config/{config_id}",
        "GET /api/prompts/{prompt_id}",
        "PUT /api/prompts/{prompt_id}",
        "DELETE /api/prompts/{prompt_id}",
        "POST /api/summarization/{file_id}",
        "DELETE /api/summarization/{file_id}",
        "POST /api/summarization/{file_id}/retry",
        "POST /api/summarization/{file_id}/identify-speakers",
        "DELETE /api/summarization/{file_id}/speaker-predictions/{prediction_id}",
        "POST /api/summarization/{file_id}/topics",
        "POST /api/summarization/{file_id}/topics/apply",
        "DELETE /api/summarization/{file_id}/topics",
        "POST /api/comments/files/{file_id}",
        "PUT /api/comments/{comment_id}",
        "DELETE /api/comments/{comment_id}",
        "POST /api/tasks/retry/{file_id}",
        "POST /api/tasks/{task_id}/cancel",
    ],
    Who.reader: [
        "POST /api/files/streaming/{file_id}/url",
        "GET /api/files/streaming/{file_id}",
        "GET /api/files/streaming/{file_id}/thumbnail",
        "GET /api/files/streaming/{file_id}/waveform",
        "GET /api/files/streaming/{file_id}/subtitles",
        "GET /api/files/streaming/{file_id}/subtitles/validate",
        "GET /api/files/streaming/{file_id}/subtitled",
        "GET /api/files/{file_id}",
        "GET /api/my-files/{file_id}/status",
        "GET /api/files/{file_id}/transcript",
        "GET /api/files/{file_id}/transcript/segments",
        "GET /api/files/{file_id}/exports/{export_format}",
        "GET /api/files/{file_id}/transcript/edits",
        "GET /api/files/{file_id}/analytics",
        "GET /api/summarization/{file_id}",
        "GET /api/summarization/{file_id}/versions",
        "GET /api/summarization/{file_id}/status",
        "GET /api/summarization/{file_id}/speaker-predictions",
        "GET /api/summarization/{file_id}/topics",
        "GET /api/comments/files/{file_id}",
        "GET /api/comments/{comment_id}",
        "GET /api/tasks/{task_id}",
    ],
    Who.admin: [
        "GET /api/users",
        "POST /api/users",
        "GET /api/users/{user_id}",
        "PUT /api/users/{user_id}",
        "DELETE /api/users/{user_id}",
        "GET /api/tasks/system/health",
        "POST /api/tasks/recover-stuck-tasks",
        "POST /api/tasks/system/startup-recovery",
        "POST /api/tasks/system/recover-all-user-files",
        "POST /api/tasks/system/recover-user-files/{user_id}",
        "POST /api/tasks/system/recover-task/{task_id}",
        "POST /api/tasks/system/fix-file/{file_id}",
        "GET /api/admin/stats",
        "GET /api/admin/files",
        "DELETE /api/admin/files/{file_id}",
        "POST /api/admin/cleanup",
        "GET /api/admin/audit",
        "GET /api/admin/audit/export",
        "GET /api/admin/usage",
        "GET /api/admin/usage/export",
        "GET /api/admin/retention",
        "GET /api/admin/retention/preview",
        "POST /api/admin/retention/run",
        "GET /api/admin/voiceprints",
        "POST /api/admin/voiceprints/reembed",
        "POST /api/admin/voiceprints/resync",
        "POST /api/admin/backfills/plan",
        "POST /api/admin/backfills",
        "POST /api/admin/backfills/manifests",
        "GET /api/admin/backfills",
        "GET /api/admin/backfills/{backfill_id}",
        "POST /api/admin/backfills/{backfill_id}/resume",
        "POST /api/admin/backfills/{backfill_id}/cancel",
        "GET /api/admin/backfills/{backfill_id}/items",
        "GET /api/admin/backfills/{backfill_id}/report",
        "GET /api/admin/backfills/{backfill_id}/report.parquet",
        "POST /api/search/reindex",
        "POST /api/search/reindex/stop",
        "POST /api/search/repair-indices",
        "GET /api/admin/llm-settings",
        "PUT /api/admin/llm-settings",
        "DELETE /api/admin/llm-settings",
        "POST /api/admin/llm-settings/test",
        "GET /api/admin/settings",
        "GET /api/admin/settings/retry",
        "PUT /api/admin/settings/retry",
        "DELETE /api/admin/settings/retry",
        "GET /api/admin/settings/retention",
        "PUT /api/admin/settings/retention",
        "DELETE /api/admin/settings/retention",
        "GET /api/admin/settings/audit",
        "PUT /api/admin/settings/audit",
        "DELETE /api/admin/settings/audit",
    ],
}

NO_IDS = {"number": "1", "export_format": "srt", "content_type": "meeting"}
"""Path parameters that are no ids."""
ENDLESS = "GET /api/files/streaming/{file_id}/events"
"""Answers without an end; tests/integration/api/test_file_events.py."""


def routes(*kinds: Who) -> list[Operation]:
    """The operations of these kinds."""
    names = {name for kind in kinds for name in WHO[kind]}
    return [operation for operation in operations() if operation.name in names]


CLOSED = [kind for kind in Who if kind is not Who.anybody]


async def ask(
    client: httpx.AsyncClient, operation: Operation, ids: dict[str, str]
) -> httpx.Response:
    """Ask as the document's example does."""
    body: dict[str, Any] = {}
    if operation.name.endswith("parts/{number}") and operation.method == "PUT":
        body = {"content": b"x"}
    elif operation.name.startswith("POST") and operation.name.endswith("/enrolments"):
        body = {"files": {"file": ("ada.wav", b"RIFF")}}
    elif operation.name == "POST /api/admin/backfills/manifests":
        body = {"files": {"file": ("list.jsonl", b'{"source": "import/talk.flac"}')}}
    elif (example := example_body(operation)) is not None:
        body = {"json": example}
    headers = {"If-Match": '"1"'}
    url = operation.filled({**NO_IDS, **ids})
    return await client.request(operation.method, url, headers=headers, **body)


def random_ids() -> dict[str, str]:
    names = {name for operation in operations() for name in operation.ids}
    return {name: str(uuid.uuid4()) for name in names - NO_IDS.keys()}


def without_ids(response: httpx.Response) -> str:
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", response.text)
    return re.sub(r'"request_id":"\w+"', "", text)


class Refusals:
    """What differs from what is expected, for all routes at once."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def expect(self, operation: Operation, found: httpx.Response, status: int, kind: str) -> None:
        """Note an answer that is not this refusal."""
        told = found.json().get("error_type") if found.content else None
        if (found.status_code, told) != (status, kind):
            self.wrong.append(f"{operation.name}: {found.status_code} {found.text[:200]}")


@pytest.fixture
def refusals() -> Iterator[Refusals]:
    noted = Refusals()
    yield noted
    assert not noted.wrong, "\n".join(noted.wrong)


@pytest.fixture
async def owned(client: httpx.AsyncClient, services: Services, recording: bytes):
    """The ids of everything that somebody owns."""
    me = (await client.get("/api/auth/me")).json()["data"]["id"]
    ids = await furnish(services.sessions, services.objects, uuid.UUID(me), recording)
    return {**ids, "user_id": me}


async def make(services: Services, client: httpx.AsyncClient, **values: Any) -> None:
    """Change the account of a client."""
    me = (await client.get("/api/auth/me")).json()["data"]["id"]
    async with session_scope(services.sessions) as session:
        await session.execute(update(User).where(User.id == uuid.UUID(me)).values(**values))


def test_every_route_says_whom_it_serves():
    listed = [name for names in WHO.values() for name in names]
    assert len(listed) == len(set(listed))
    assert {operation.name for operation in operations()} == set(listed)


async def test_without_a_token(anonymous: httpx.AsyncClient, owned, refusals: Refusals):
    for operation in routes(*CLOSED):
        for ids in (owned, random_ids()):
            answer = await ask(anonymous, operation, {**random_ids(), **ids})
            refusals.expect(operation, answer, 401, "not_authenticated")
            assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_with_an_expired_token(
    client: httpx.AsyncClient, services: Services, owned, refusals: Refusals
):
    claims = services.tokens.read(client.headers["Authorization"].removeprefix("Bearer "))
    tokens = AccessTokens(services.auth)
    tokens.lifetime_seconds = -60
    token = tokens.issue(claims.user_id, claims.family_id)
    client.headers["Authorization"] = f"Bearer {token}"
    for operation in routes(*CLOSED):
        answer = await ask(client, operation, {**random_ids(), **owned})
        refusals.expect(operation, answer, 401, "invalid_token")


async def test_of_a_disabled_account(
    client: httpx.AsyncClient, services: Services, owned, refusals: Refusals
):
    await make(services, client, is_active=False, role=Role.admin)
    for operation in routes(*CLOSED):
        answer = await ask(client, operation, {**random_ids(), **owned})
        refusals.expect(operation, answer, 401, "invalid_token")


async def test_what_is_somebody_elses_is_like_what_is_not_there(
    stranger: httpx.AsyncClient, owned, refusals: Refusals
):
    for operation in routes(Who.owner, Who.reader):
        theirs = await ask(stranger, operation, {**random_ids(), **owned})
        nobodys = await ask(stranger, operation, random_ids())
        refusals.expect(operation, theirs, 404, "not_found")
        refusals.expect(operation, nobodys, 404, "not_found")
        assert without_ids(theirs) == without_ids(nobodys), operation.name


async def test_what_is_not_an_id(client: httpx.AsyncClient, refusals: Refusals):
    for operation in routes(Who.owner, Who.reader):
        for value in ("1", "x" * 5000, "%00", "' OR 1=1"):
            wrong = {name: value for name in operation.ids if name not in NO_IDS}
            answer = await ask(client, operation, wrong)
            refusals.expect(operation, answer, 422, "validation_error")


async def test_administrators_routes_are_forbidden_to_others(
    client: httpx.AsyncClient, owned, refusals: Refusals
):
    for operation in routes(Who.admin):
        for ids in ({**random_ids(), **owned}, random_ids(), dict.fromkeys(random_ids(), "1")):
            refusals.expect(operation, await ask(client, operation, ids), 403, "forbidden")


async def test_administrators_routes_know_ids(
    client: httpx.AsyncClient, services: Services, refusals: Refusals
):
    await make(services, client, role=Role.admin)
    for operation in routes(Who.admin):
        if operation.ids:
            answer = await ask(client, operation, random_ids())
            refusals.expect(operation, answer, 404, "not_found")


async def test_administrators_change_nothing_of_others_on_users_routes(
    stranger: httpx.AsyncClient, services: Services, owned, refusals: Refusals
):
    await make(services, stranger, role=Role.admin)
    for operation in routes(Who.owner):
        answer = await ask(stranger, operation, {**random_ids(), **owned})
        refusals.expect(operation, answer, 404, "not_found")


async def test_what_administrators_read_of_others_is_in_the_audit_log(
    stranger: httpx.AsyncClient, services: Services, owned
):
    await make(services, stranger, role=Role.admin)
    read = 0
    for operation in routes(Who.reader):
        async with session_scope(services.sessions) as session:
            await session.execute(delete(AuditEvent))
        answer = await ask(stranger, operation, {**random_ids(), **owned})
        async with session_scope(services.sessions) as session:
            noted = (await session.scalars(select(AuditEvent))).all()
        if answer.status_code < 400:
            read += 1
            assert [str(event.owner_id) for event in noted] == [owned["user_id"]], operation.name
    assert read >= 10


async def test_owners_reach_what_is_theirs(client: httpx.AsyncClient, owned, refusals: Refusals):
    """So that the refusals above are not those of routes which refuse everybody."""
    for operation in routes(Who.owner, Who.reader):
        if operation.method == "GET" and operation.name != ENDLESS:
            answer = await ask(client, operation, {**random_ids(), **owned})
            if answer.status_code == 404 and "thumbnail" not in operation.path:
                refusals.wrong.append(f"{operation.name}: {answer.text[:200]}")
