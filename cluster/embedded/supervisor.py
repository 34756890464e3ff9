"""The one supervisor: starts the parts in order, restarts what dies, stops everything in order."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import httpx
import structlog

from cluster.connection import ApplicationState, Dashboard, DeployError
from cluster.embedded import checks
from cluster.embedded.environment import resolve_profile, shared_environment
from cluster.embedded.errors import EmbeddedError, Stopped
from cluster.embedded.installation import Installation, ray_token
from cluster.embedded.objects import EmbeddedObjects, external_objects
from cluster.embedded.outside_ray import OutsideRay, check_outside
from cluster.embedded.postgres import EmbeddedPostgres, probe_database
from cluster.embedded.processes import Child, Mark, adopt_orphans, end_leftovers, reap_orphans
from cluster.embedded.ray_head import RayHead, logical_cpus, logical_memory
from cluster.embedded.state import (
    API_PORTS,
    LOOPBACK,
    load_records,
    make_private,
    ports,
    save_records,
)
from cluster.node_environment import PROXY_MIDDLEWARES
from cluster.resources import DoesNotFit, check_fit
from cluster.serve_config import APPLICATIONS, Application, serve_config
from cluster.setting_names import set_in
from cluster.settings import ApiSettings, Profile, Settings

log = structlog.get_logger(__name__)

WATCH_SECONDS = 0.5
QUICK_DEATH_SECONDS = 30.0
MAX_QUICK_DEATHS = 5
FIRST_BACKOFF_SECONDS = 0.5
# The GPU profile fetches its weights at the first deployment.
DEPLOY_SECONDS = 1800.0
READY_SECONDS = 300.0
DRAIN_SECONDS = 30.0

Progress = Callable[[str], None]


class Part(Protocol):
    """A server that the supervisor keeps running."""

    part: str
    mark: Mark
    log: Path
    child: Child | None

    def start(self) -> None:
        """Start it and wait until it works; raise EmbeddedError."""
        ...

    def stop(self) -> None:
        """Stop it in order."""
        ...


def silent(_: str) -> None:
    """Progress that nobody watches."""


class Supervisor:
    """The installation in one data directory. The caller holds its lock (`state.locked`).

    Args:
        settings: Everything, as the environment has it.
        data_dir: As `state.claim` returned it.
        applications: What Serve runs.
        proxy_middlewares: What Serve's proxy calls for its middlewares; None: nothing.
        ready_path: Answers 200 when the installation can be used.
    """

    def __init__(
        self,
        settings: Settings,
        data_dir: Path,
        applications: Sequence[Application] = APPLICATIONS,
        proxy_middlewares: str | None = PROXY_MIDDLEWARES,
        ready_path: str = "/health/ready",
    ) -> None:
        self.data_dir = data_dir
        self.installation = Installation(data_dir)
        self.logs = make_private(self.installation.logs)
        self.environment = shared_environment(settings, data_dir)
        self._settings = settings
        self._applications = list(applications)
        self._required = [application.name for application in applications]
        self._api = with_port(settings.api, data_dir)
        self._ready_path = ready_path
        self._parts: list[Part] = []
        self._addresses: dict[str, str] = {}
        self._dashboard: Dashboard | None = None
        self._outside: OutsideRay | None = None
        self._quick_deaths: dict[str, int] = {}
        self.environment["RAYSCRIBE_PORT"] = str(self._api.port)
        if proxy_middlewares:
            self.environment["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"] = proxy_middlewares

    @property
    def url(self) -> str:
        """Where the API is reached from this machine."""
        everywhere = self._api.host in {"0.0.0.0", "::"}  # noqa: S104 - read, not bound
        nearest = self._outside.host if self._outside else LOOPBACK
        return f"http://{nearest if everywhere else self._api.host}:{self._api.port}"

    def include(self, application: Application) -> None:
        """Let Serve run something more, without which everything else is as good."""
        self._applications.append(application)

    def application(self, name: str) -> ApplicationState | None:
        """An application as Serve sees it; raise httpx.HTTPError where nobody answers."""
        states = self._dashboard.applications() if self._dashboard else ()
        return next((state for state in states if state.name == name), None)

    @staticmethod
    def take_charge() -> None:
        """Make Ctrl-C and SIGTERM raise Stopped in this process, and adopt orphans."""

        def interrupt(number: int, _frame: FrameType | None) -> None:
            raise Stopped(signal.Signals(number).name)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, interrupt)
        adopt_orphans()

    def check(self, _progress: Progress = silent) -> str:
        """Step: what an earlier run left is ended; what would fail later is said now."""
        left = self.installation.end_leftovers()
        self.installation.forget_run()
        self.installation.keep_settings(set_in(os.environ))
        checks.check_programs()
        checks.check_space(self.data_dir)
        self._check_ray()
        ended = f", ended {left} processes that a killed run left" if left else ""
        return f"profile {self.environment['RAYSCRIBE_PROFILE']}, data in {self.data_dir}{ended}"

    def start_postgres(self, _progress: Progress = silent) -> str:
        """Step: PostgreSQL, unless DATABASE_URL names one."""
        url = self._settings.database.url
        if url:
            probe_database(url.get_secret_value())
            self._know({"DATABASE_URL": url.get_secret_value()})
            return "external (DATABASE_URL)"
        part = EmbeddedPostgres(
            self.data_dir / "postgres",
            log=self.logs / "postgres.log",
            instance=self.installation.instance,
        )
        self._run(part)
        self._know({"DATABASE_URL": part.url}, postgres=f"{LOOPBACK}:{part.ports['postgres']}")
        return self._addresses["postgres"]

    def start_objects(self, _progress: Progress = silent) -> str:
        """Step: S3, unless MINIO_ENDPOINT names one."""
        if self._settings.objects.endpoint:
            self._know(external_objects(self._settings.objects))
            return f"external ({self._settings.objects.endpoint})"
        part = EmbeddedObjects(
            self.data_dir / "objects",
            bucket=self._settings.objects.bucket,
            log=self.logs / "objects.log",
            instance=self.installation.instance,
        )
        self._run(part)
        self._know(part.environment, objects=part.endpoint)
        return part.endpoint

    def start_ray(self, progress: Progress = silent) -> str:
        """Step: Ray, unless RAYSCRIBE_RAY_ADDRESS names the dashboard of a cluster."""
        address = self._settings.ray.address
        if address:
            self._outside = OutsideRay(address, ray_token({}))
            self._outside.await_answer(progress)
            self._dashboard = self._outside.dashboard
            self._know({}, ray=address)
            return f"external ({address})"
        head = RayHead(
            self.data_dir / "ray",
            self._settings.ray,
            self.environment,
            gpus=self._on_gpu,
            log=self.logs / "ray.log",
            instance=self.installation.instance,
        )
        self._run(head)
        self._dashboard = head.dashboard
        self._know(head.membership, ray=head.dashboard.address)
        link = self.logs / "ray"
        link.unlink(missing_ok=True)
        link.symlink_to(head.temporary / "session_latest" / "logs")
        return f"dashboard {head.dashboard.address}"

    def deploy(self, progress: Progress = silent) -> str:
        """Step: Serve is told what to run, and does."""
        if self._dashboard is None:
            raise EmbeddedError("deploy comes after start_ray")
        # Another cluster's nodes do not have this machine's folders.
        logs = None if self._outside else self.logs / "serve"
        # After the head has died: as `rayscribe update` may have left it.
        config = self.installation.serve() or self._serve_config(logs)
        try:
            self._dashboard.put(config)
            self.installation.keep_serve(config)
            self._dashboard.await_running(self._required, DEPLOY_SECONDS, progress)
            states = self._dashboard.applications()
        except DeployError as error:
            raise EmbeddedError(f"{error} (logs: {logs or 'on the nodes'})") from error
        except httpx.HTTPError as error:
            raise EmbeddedError(f"Ray's dashboard stopped answering: {error!r}") from error
        return f"{sum(len(state.deployments) for state in states)} deployments"

    def _serve_config(self, logs: Path | None) -> dict[str, Any]:
        settings = self._settings
        return serve_config(
            self._api,
            settings.logs,
            logs,
            self._applications,
            scaling=settings.scaling,
            telemetry=settings.telemetry,
        )

    def await_ready(self, _progress: Progress = silent) -> str:
        """Step: the API says itself that it can be used."""
        deadline = time.monotonic() + READY_SECONDS
        said = "no answer"
        ready_url = f"{self.url}{self._ready_path}"
        while time.monotonic() < deadline:
            try:
                answer = httpx.get(ready_url, timeout=10, trust_env=False)
                if answer.status_code == httpx.codes.OK:
                    self._know({}, api=self.url)
                    return self.url
                said = f"{answer.status_code} {answer.text[:200]}"
            except httpx.HTTPError as error:
                said = repr(error)
            time.sleep(WATCH_SECONDS)
        raise EmbeddedError(f"{ready_url} not ready after {READY_SECONDS:.0f} s: {said}")

    def supervise(self) -> None:
        """Start again what dies, until Stopped is raised; raise EmbeddedError to give up."""
        while True:
            time.sleep(WATCH_SECONDS)
            reap_orphans([part.child for part in self._parts if part.child])
            self._watch(self._parts)
            if self._outside and self._outside.forgot(self._required):
                self._deploy_again()

    def stop(self) -> None:
        """Stop everything in order. A signal that arrives meanwhile kills the part waited for."""
        log.info("stopping")
        with self._cut_short("ray"):
            self._drain()
        for part in reversed(self._parts):
            with self._cut_short(part.part):
                part.stop()
        # A signal may have come between the start of a process and our knowing of it.
        with self._cut_short(""):
            self.installation.end_leftovers()
        self.installation.forget_run()
        log.info("stopped")

    @contextmanager
    def _cut_short(self, part: str) -> Iterator[None]:
        try:
            yield
        except Stopped:
            log.warning("cut short", child=part)
            end_leftovers(Mark(self.installation.instance, part), signal.SIGKILL, 0)

    def _drain(self) -> None:
        """Let replicas finish, or give back, what they have."""
        alive = any(_lives(part) for part in self._parts if part.part == RayHead.part)
        if alive and self._dashboard:
            try:
                self._dashboard.shut_down_serve(DRAIN_SECONDS)
            except httpx.HTTPError as error:
                log.warning("Serve did not shut down in order", reason=repr(error))

    def _watch(self, parts: Iterable[Part]) -> None:
        for part in parts:
            if not _lives(part):
                self._revive(part)

    def _revive(self, part: Part) -> None:
        self._back_off(part)
        try:
            part.start()
            self._record(part)
            if part.part == RayHead.part:
                others = [other for other in self._parts if other is not part]
                self.deploy(lambda _: self._watch(others))
            log.info("started again", child=part.part)
        except EmbeddedError as error:
            log.error("did not start", child=part.part, reason=str(error))  # noqa: TRY400 - a line
            part.stop()

    def _deploy_again(self) -> None:
        log.warning("Ray knows nothing of us any more, deploying again")
        try:
            self.deploy()
            log.info("deployed again")
        except EmbeddedError as error:
            log.error("not deployed", reason=str(error))  # noqa: TRY400 - a line

    def _back_off(self, part: Part) -> None:
        uptime = part.child.uptime_seconds if part.child else 0.0
        quick = self._quick_deaths.get(part.part, 0) + 1 if uptime < QUICK_DEATH_SECONDS else 1
        self._quick_deaths[part.part] = quick
        if quick > MAX_QUICK_DEATHS:
            raise EmbeddedError(f"{part.part} keeps dying, giving up: see {part.log}")
        seconds = FIRST_BACKOFF_SECONDS * 2 ** (quick - 1)
        status = part.child.process.returncode if part.child else None
        log.warning("died, starting it again", child=part.part, status=status, after=seconds)
        time.sleep(seconds)

    def _run(self, part: Part) -> None:
        self._parts.append(part)
        part.start()
        self._record(part)

    def _record(self, part: Part) -> None:
        if part.child:
            records = load_records(self.installation.records)
            save_records(self.installation.records, {**records, part.part: part.child.record})

    def _know(self, environment: dict[str, str], **addresses: str) -> None:
        """Remember what later parts, and other commands of this machine, need."""
        self.environment |= environment
        self._addresses |= addresses
        self.installation.keep(self.environment, self._addresses)

    @property
    def _on_gpu(self) -> bool:
        return resolve_profile(self._settings.speech.profile) is Profile.gpu

    def _check_ray(self) -> None:
        if self._settings.ray.address:
            check_outside(self._settings)
            return
        checks.check_port(self._api)
        # How many GPUs there are is Ray's to say, later.
        gpus, ray = float("inf") if self._on_gpu else 0.0, self._settings.ray
        try:
            check_fit(self._settings, logical_cpus(ray), gpus, logical_memory(ray))
        except DoesNotFit as error:
            raise EmbeddedError(str(error)) from error


def with_port(api: ApiSettings, data_dir: Path) -> ApiSettings:
    """The settings with a port of its own where 0 asks for any."""
    if api.port:
        return api
    chosen = ports(data_dir / "ports.json", ["api"], API_PORTS)
    return api.model_copy(update={"port": chosen["api"]})


def _lives(part: Part) -> bool:
    return part.child is not None and part.child.alive()
