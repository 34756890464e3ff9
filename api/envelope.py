"""The one place where answers are put into the envelope `{"data", "message", "status"}`."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from types import UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin

from fastapi import Response
from fastapi.datastructures import Default
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

T = TypeVar("T")

UNSET = Default(None)


class Envelope(BaseModel, Generic[T]):
    """What every successful JSON answer under /api looks like."""

    data: T = Field(description="What was asked for")
    message: str = Field(description="What was done, for people", examples=["Success"])
    status: Literal["success"] = Field("success", description="Always `success`")


class EnvelopeRoute(APIRoute):
    """A route whose endpoint returns the data; `response_description` becomes the message.

    An endpoint that says `-> Data | Response` may also send a response of its own, as it is.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        response_model: Any = UNSET,
        response_description: str = "Success",
        **options: Any,
    ) -> None:
        model = _without_response(inspect.signature(endpoint).return_annotation)
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


def _without_response(model: Any) -> Any:
    if get_origin(model) not in {Union, UnionType}:
        return model
    members = [m for m in get_args(model) if not (isinstance(m, type) and issubclass(m, Response))]
    return functools.reduce(lambda left, right: left | right, members)


def _is_data(model: Any) -> bool:
    if model is None or model is inspect.Signature.empty:
        return False
    return not (isinstance(model, type) and issubclass(model, Response | Envelope))


def rendered(data: BaseModel, message: str, headers: Mapping[str, str]) -> Response:
    """The whole answer: for threads, where the data is so large that it would hold up the loop."""
    body = Envelope[BaseModel].model_construct(data=data, message=message, status="success")
    content = body.model_dump_json(serialize_as_any=True)
    return Response(content, headers=dict(headers), media_type="application/json")


def enveloped(
    endpoint: Callable[..., Awaitable[Any]], message: str
) -> Callable[..., Awaitable[dict[str, Any] | Response]]:
    """The endpoint, answering with the envelope."""

    @functools.wraps(endpoint)
    async def call(*args: Any, **kwargs: Any) -> dict[str, Any] | Response:
        data = await endpoint(*args, **kwargs)
        if isinstance(data, Response):
            return data
        return {"data": data, "message": message, "status": "success"}

    return call
