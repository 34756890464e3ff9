"""Whose work a call is, as Serve hands it on."""

from typing import Any

import structlog
from ray.serve.context import _RequestContext, _serve_request_context

from serving import calling

current: Any = _serve_request_context


def test_the_id_of_a_task_travels_as_serves_request_id():
    before = current.get()
    with structlog.contextvars.bound_contextvars(task_id="7"), calling.named_after_task():
        sent = current.get().request_id
        assert calling.task_id() == "7"
    assert sent == "task-7"
    assert current.get() is before
    # In the replica there is only what Serve handed on.
    token = current.set(_RequestContext(request_id=sent))
    assert calling.task_id() == "7"
    current.reset(token)


def test_other_requests_are_no_tasks():
    token = current.set(_RequestContext(request_id="abc"))
    assert calling.task_id() is None
    current.reset(token)
    before = current.get()
    with calling.named_after_task():
        assert current.get() is before
