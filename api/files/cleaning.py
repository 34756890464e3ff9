"""Removes at once what is noted as a leftover; what cannot be, the outbox removes later."""

from api.dependencies import Services
from pipelines import leftovers


async def remove_noted(services: Services, prefix: str, *, forget: bool = True) -> None:
    """Remove all objects under a prefix that is noted; `forget` unless more may still arrive."""
    await leftovers.remove_now(services.sessions, services.objects, prefix, forget_it=forget)
