"""Settings of the database and the object store, and of where things lie."""

from pathlib import Path

from pydantic import Field, SecretStr

from cluster.settings.base import Count, Group, Seconds, seed


class PathSettings(Group):
    """Where things lie on this machine."""

    data_dir: Path = Path("data")
    """Data, credentials and logs of the installation."""
    model_dir: Path = Field(Path("models"), validation_alias=seed("MODEL_CACHE_DIR"))
    """Model weights."""


class DatabaseSettings(Group):
    """PostgreSQL. Unset: the embedded server."""

    url: SecretStr | None = Field(None, validation_alias=seed("DATABASE_URL"))
    """`postgresql://user:password@host/database`; PostgreSQL 15 or later."""
    pool_size: Count = Field(5, validation_alias="RAYSCRIBE_DB_POOL_SIZE")
    """Connections of each API replica and each runner; twice as many at a peak."""
    statement_timeout_seconds: Seconds = Field(
        60, validation_alias="RAYSCRIBE_DB_STATEMENT_TIMEOUT_SECONDS"
    )
    """A statement that runs longer is ended: it holds a connection that others wait for."""
    max_guarded_requests: Count = Field(20, validation_alias="RAYSCRIBE_DB_MAX_GUARDED_REQUESTS")
    """Requests with an `Idempotency-Key` that one API replica works on at a time: each holds a
    connection, besides those above, until its answer."""


class ObjectSettings(Group):
    """S3. Unset: the embedded SeaweedFS."""

    endpoint: str | None = Field(None, validation_alias=seed("MINIO_ENDPOINT"))
    """`host:port` of the server."""
    access_key: SecretStr | None = Field(None, validation_alias=seed("MINIO_ACCESS_KEY"))
    """Needed with an endpoint."""
    secret_key: SecretStr | None = Field(None, validation_alias=seed("MINIO_SECRET_KEY"))
    """Needed with an endpoint."""
    secure: bool = Field(default=False, validation_alias=seed("MINIO_SECURE"))
    """HTTPS to the endpoint."""
    region: str = Field("us-east-1", validation_alias=seed("MINIO_REGION"))
    """Never empty: the client would ask the server, which costs a round trip per process."""
    bucket: str = Field("rayscribe", validation_alias=seed("MEDIA_BUCKET_NAME"))
    """Made where it is missing."""
    public_endpoint: str | None = Field(None, validation_alias=seed("MINIO_PUBLIC_ENDPOINT"))
    """The address under which browsers reach S3; presigned uploads are offered only where it is
    set."""
