"""Serve's long answers become a line."""

from typing import Any

from cluster.connection import ApplicationState, last_line, summary

Deployment = tuple[str, dict[str, Any]]
TRACEBACK = """Traceback (most recent call last):
  File "x.py", line 1, in <module>
RuntimeError: the weights are missing

"""


def application(status: str, *deployments: Deployment) -> ApplicationState:
    return ApplicationState.read(
        "api",
        {
            "status": status,
            "message": "Deploying app 'api' failed with exception:\n" + TRACEBACK,
            "deployments": dict(deployments),
        },
    )


def deployment(name: str, status: str, *states: str, target: int = 1) -> Deployment:
    return name, {
        "status": status,
        "message": TRACEBACK if status == "DEPLOY_FAILED" else "",
        "target_num_replicas": target,
        "replicas": [{"state": state} for state in states],
    }


def test_of_a_traceback_the_exception_is_said() -> None:
    assert last_line(TRACEBACK) == "RuntimeError: the weights are missing"
    assert last_line("") == "no reason given"


def test_a_failed_deployment_is_named_with_its_reason() -> None:
    failed = application(
        "DEPLOY_FAILED", deployment("Api", "HEALTHY"), deployment("Asr", "DEPLOY_FAILED")
    )
    assert failed.failure == "api: Asr: RuntimeError: the weights are missing"


def test_an_application_that_cannot_be_imported_says_why() -> None:
    assert application("DEPLOY_FAILED").failure == "api: RuntimeError: the weights are missing"


def test_what_is_still_deploying_has_not_failed() -> None:
    state = application("DEPLOYING", deployment("Api", "UPDATING", "STARTING", "RUNNING", target=2))
    assert state.failure is None
    assert not state.running
    assert summary([state]) == "Api 1/2"


def test_nothing_known_yet_means_importing() -> None:
    assert summary([]) == "importing the applications"
