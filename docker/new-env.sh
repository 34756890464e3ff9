#!/usr/bin/env bash
# Prints a docker/.env with new secrets: docker/new-env.sh > docker/.env
set -euo pipefail

secret() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

umask 077
cat <<END
# Secrets of this installation: back them up with its volumes. Without them nothing can be read again.
POSTGRES_PASSWORD=$(secret)
MINIO_SECRET_KEY=$(secret)
OBJECTS_SIGNING_KEY=$(secret)
QDRANT_API_KEY=$(secret)
MEILI_API_KEY=$(secret)
SECRET_KEY=$(secret)
RAY_AUTH_TOKEN=$(secret)
METRICS_TOKEN=$(secret)
GRAFANA_PASSWORD=$(secret)

# The port on this machine's loopback.
RAYSCRIBE_PUBLISHED_PORT=5174
# Containers with the roles that need no GPU.
RAYSCRIBE_WORKERS=1
END
