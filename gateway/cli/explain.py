"""`gateway explain`: shows the call that a request would become."""

from typing import Annotated

import typer

from gateway.cli.flags import Config, configured
from gateway.cli.messages import visible


@configured
def explain_command(
    settings: Config,
    request: Annotated[list[str], typer.Argument(help="METHOD '/path?query'")],
    data: Annotated[str, typer.Option("--data", "-d", help="The body, as JSON.")] = "",
) -> None:
    """Show what a request would become: its binding, fields and message. Calls no back end."""
    from gateway.cli.explanation import explain  # noqa: PLC0415 - not needed by other commands

    explanation = explain(settings, " ".join(request), data)
    for line in explanation.lines():
        typer.echo(visible(line))
    if explanation.error is not None:
        raise typer.Exit(1)
