"""The flags that are settings, shared by the commands that read the whole configuration."""

import os
from collections.abc import Callable
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.messages import fail, say
from gateway.config.loader import Config, load_config
from gateway.config.routing import OnConflict

__all__ = ["Config", "configured", "read_settings"]


def read_settings(  # noqa: PLR0917 - one parameter for each flag
    config: Annotated[
        Path | None, typer.Option(help="Settings as YAML; gateway.yaml if that exists.")
    ] = None,
    descriptors: Annotated[
        list[Path] | None, typer.Option(help="A FileDescriptorSet: protoc's, or a buf image.")
    ] = None,
    module: Annotated[
        list[str] | None, typer.Option(help="A package of generated code, e.g. gen.library.v1.")
    ] = None,
    upstream: Annotated[
        list[str] | None, typer.Option(help="A back end: [NAME=]HOST:PORT, or unix:/path.")
    ] = None,
    reflect: Annotated[
        bool | None, typer.Option("--reflect", help="Ask the upstreams for their descriptors.")
    ] = None,
    service: Annotated[
        list[str] | None, typer.Option(help="Expose only this service; package.* allowed.")
    ] = None,
    service_config: Annotated[
        list[Path] | None,
        typer.Option(help="google.api.Service YAML with HTTP rules or system parameters."),
    ] = None,
    on_conflict: Annotated[
        OnConflict | None, typer.Option(help="Two methods on one route: refuse, first, or last.")
    ] = None,
    unannotated: Annotated[
        bool | None,
        typer.Option("--unannotated", help="Give methods without a rule POST /pkg.Service/Method."),
    ] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT to serve on.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes; 0 for one per core.")
    ] = None,
) -> Config:
    """Reads the configuration; a flag that is given replaces its setting."""
    flags = _given(
        descriptors=descriptors,
        modules=module,
        upstreams=_upstreams(upstream or []),
        reflect=reflect,
        services=service,
        service_config=service_config,
        listen=listen,
        workers=workers,
        routing=_given(on_conflict=on_conflict, unannotated=unannotated),
    )
    return load_config(config, os.environ, flags, say)


def _given(**flags: Any) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value not in (None, [], {})}


def _upstreams(flags: list[str]) -> dict[str, dict[str, str]]:
    upstreams: dict[str, dict[str, str]] = {}
    for number, flag in enumerate(flags, 1):
        name, equals, target = flag.partition("=")
        if not equals:
            # Errors show an upstream's name to clients, so it must not be its address.
            name, target = f"upstream{number}", flag
        if not name or not target:
            fail(f"--upstream {flag}: expected [NAME=]HOST:PORT")
        if name in upstreams:
            fail(f"--upstream {flag}: the name {name} is taken: give each upstream its own")
        upstreams[name] = {"target": target}
    return upstreams


def configured(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the flags of `read_settings` to a command, which receives the result as `settings`.

    A command with a parameter `read` also receives a function that reads them again.
    """
    given = signature(command).parameters
    own = [p for p in given.values() if p.name not in ("settings", "read")]
    shared = list(signature(read_settings).parameters.values())

    @wraps(command)
    def run(**options: Any) -> None:
        read = partial(read_settings, **{p.name: options.pop(p.name) for p in shared})
        if "read" in given:
            options["read"] = read
        command(settings=read(), **options)

    parameters = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in (*own, *shared)]
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined] # Typer reads it
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run
