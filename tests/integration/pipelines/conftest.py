"""Fixtures of the runner's tests."""

from tests.fixtures.runner import parts, ports

__all__ = ["parts", "ports"]
