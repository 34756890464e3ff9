"""The one place where answers are put into the envelope `{"data", "message", "status"}`."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Literal, TypeVar

from fastapi import Response
from fastapi.datastructures import Default
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

T = TypeVar("T")

UNSET = Default(None)


class Envelope(BaseModel, Generic[T]):
    """What every successful JSON answer under /api looks like."""

    data: T
    message: str = Field(examples=["Success"])
    status: Literal["success"] = "success"


class EnvelopeRoute(APIRoute):
    """A route whose endpoint returns the data; `response_description` becomes the message."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        response_model: Any = UNSET,
        response_description: str = "Success",
        **options: Any,
    ) -> None:
        model = inspect.signature(endpoint).return_annotation
        if _is_data(model):
            endpoint = enveloped(endpoint, response_description)
            response_model = Envelope[model]  # type: ignore[valid-type]
        super().__init__(
            path,
            endpoint,
            response_model=response_model,
            response_description=response_description,
            **options,
        )


def _is_data(model: Any) -> bool:
    if model is None or model is inspect.Signature.empty:
        return False
    return not (isinstance(model, type) and issubclass(model, Response | Envelope))


def enveloped(
    endpoint: Callable[..., Awaitable[Any]], message: str
) -> Callable[..., Awaitable[dict[str, Any]]]:
    """The endpoint, answering with the envelope."""

    @functools.wraps(endpoint)
    async def call(*args: Any, **kwargs: Any) -> dict[str, Any]:
        return {"data": await endpoint(*args, **kwargs), "message": message, "status": "success"}

    return call
