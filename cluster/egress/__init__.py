"""The one way out for requests on a user's behalf: every address is resolved, checked and pinned.

Our own requests use `client`; a sandboxed program gets a `Proxy` as its only way out.
"""

from cluster.egress.client import client
from cluster.egress.errors import EgressError, EgressRefused, EgressUnreachable
from cluster.egress.policy import Policy, Resolve, resolve
from cluster.egress.proxy import Proxy

__all__ = [
    "EgressError",
    "EgressRefused",
    "EgressUnreachable",
    "Policy",
    "Proxy",
    "Resolve",
    "client",
    "resolve",
]
