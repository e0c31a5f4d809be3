"""What somebody typed, apart from the defaults: it wins over a file of settings."""

from importlib import import_module
from pathlib import Path
from typing import Any

import typer


def given(context: typer.Context, *, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the parameters that were typed, by name; what may be repeated as a tuple."""
    typed = {
        name: value
        for name, value in context.params.items()
        if name not in but and source_of(context, name) == "COMMANDLINE"
    }
    return {
        name: tuple(one) if isinstance(one, list) else str(one) if isinstance(one, Path) else one
        for name, one in typed.items()
    }


def source_of(context: typer.Context, name: str) -> str:
    """Return where a parameter came from: COMMANDLINE, DEFAULT and others."""
    source = context.get_parameter_source(name)
    return source.name if source else ""


def settings(
    context: typer.Context,
    kind: str,
    file: Path | None,
    *,
    but: tuple[str, ...],
    typed: dict[str, Any] | None = None,
    also: dict[str, type] | None = None,
    needed: tuple[str, ...] = ("recording",),
) -> dict[str, Any]:
    """Return settings of the pipeline's `kind` from what was typed and from a file.

    Parameters
    ----------
    context
        Of the command.
    kind
        Name of the dataclass, such as "Config".
    file
        That of ``--config``.
    but
        Parameters that are no settings.
    typed
        Settings that were typed under another name.
    also
        Settings beside those of the dataclass, and their types.
    needed
        Settings without a default.
    """
    no_settings = (*but, "file", "quiet", "verbose", "as_json")
    pipeline = import_module("retina_codec.pipeline")
    here = given(context, but=no_settings) | (typed or {})
    found = pipeline.settings_from(getattr(pipeline, kind), file, here, also=also)
    for name in needed:
        if name not in found:
            msg = f"Say which {name}, here or as '{name} = ...' in the file of --config."
            raise typer.BadParameter(msg, ctx=context)
    return found
