"""Puts a Serve configuration into a RayService manifest, where KubeRay's operator reads it."""

import re
from typing import Any

import yaml

BLOCK = re.compile(r"^(?P<indent> *)serveConfigV2: \|\n(?:(?P=indent) +.*\n|\n)*", re.MULTILINE)


class NoServeConfig(Exception):
    """A manifest has no place for a Serve configuration, or several."""


def as_yaml(config: dict[str, Any]) -> str:
    """A Serve configuration as `serve deploy` and KubeRay read it."""
    return yaml.safe_dump(config, sort_keys=False)


def with_serve_config(manifest: str, config: dict[str, Any]) -> str:
    """The manifest with its `serveConfigV2` made anew; all else stays as it is written.

    Raises:
        NoServeConfig: it has not exactly one.
    """
    places = list(BLOCK.finditer(manifest))
    if len(places) != 1:
        raise NoServeConfig(f"{len(places)} lines say `serveConfigV2: |`, and one has to")
    [place] = places
    margin = place["indent"]
    lines = "".join(f"{margin}  {line}\n" for line in as_yaml(config).splitlines())
    return f"{manifest[: place.start()]}{margin}serveConfigV2: |\n{lines}{manifest[place.end() :]}"
