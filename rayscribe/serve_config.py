"""`rayscribe serve-config`: what Ray Serve is to run on a cluster with these settings."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cluster.manifests.config_map import NoSettings, settings_in
from cluster.manifests.ray_service import NoServeConfig, as_yaml, with_serve_config
from cluster.serve_config import cluster_config
from cluster.setting_names import set_in
from cluster.settings import Settings
from rayscribe.context import Exit, complain, settings_with


def serve_config(
    settings: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A ConfigMap; else the environment's settings count."
        ),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Write it into this RayService manifest."),
    ] = None,
) -> None:
    """Print what Ray Serve is to run on a cluster whose nodes have these settings."""
    try:
        config = cluster_config(_read(settings))
        if into is None:
            # Not through the console, which would wrap it.
            typer.echo(as_yaml(config), nl=False)
        else:
            into.write_text(with_serve_config(into.read_text(), config))
    except (NoSettings, NoServeConfig) as error:
        complain(str(error))
        raise typer.Exit(Exit.failed) from error


def _read(manifest: Path | None) -> Settings:
    if manifest is None:
        return settings_with()
    told = settings_in(manifest.read_text())
    for name in set_in(os.environ):
        # What this shell says is nothing to the nodes.
        del os.environ[name]
    return settings_with(**told)
