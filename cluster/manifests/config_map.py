"""Reads settings from a Kubernetes ConfigMap, where a cluster's nodes have them from."""

import yaml


class NoSettings(Exception):
    """A manifest is no ConfigMap of settings."""


def settings_in(manifest: str) -> dict[str, str]:
    """The variables that a ConfigMap gives to those who take their environment from it.

    Raises:
        NoSettings: it is something else.
    """
    told = yaml.safe_load(manifest)
    if not isinstance(told, dict) or told.get("kind") != "ConfigMap":
        raise NoSettings("this is no ConfigMap")
    data = told.get("data") or {}
    if wrong := [name for name, value in data.items() if not isinstance(value, str)]:
        raise NoSettings(f"{', '.join(wrong)}: values have to be texts, in quotes")
    return dict(data)
