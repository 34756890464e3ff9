"""What every node of a cluster has in its environment besides settings; images carry it.

`rayscribe up` gives it to the nodes that it starts; whoever starts nodes elsewhere sees to it.
"""

PROXY_MIDDLEWARES = "api.body_limit:middlewares"
"""Serve's proxy calls this for its ASGI middlewares: there, a body is refused before it is read."""

SILENCE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYANNOTE_METRICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Telemetry of the libraries, off."""

RAY = {
    # A replica that is frozen or stuck will not end its calls: they are made again elsewhere.
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    # Without a token whoever reaches the dashboard runs what he likes on every node.
    "RAY_AUTH_MODE": "token",
    "RAY_DISABLE_DOCKER_CPU_WARNING": "1",
    # Ten times a second, Serve's default, takes 7 % of a core for looking at replicas; so 3 %.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
    # A thread that waits for another's share sleeps: the core is wanted by other replicas.
    "OMP_WAIT_POLICY": "PASSIVE",
}

NODE = {**SILENCE, **RAY, "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": PROXY_MIDDLEWARES}
"""All of it, but for the token."""
