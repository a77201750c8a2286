"""The command line: `gateway serve`, and what to ask before serving."""

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from functools import wraps
from importlib.metadata import version as installed_version
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from gateway.app import Gateway, load_schema, open_gateway
from gateway.config.loader import ConfigError, load_config
from gateway.config.model import Config, OnConflict
from gateway.explain import explain_request
from gateway.frontend.middleware.access_log import AccessLogError
from gateway.frontend.server import ListenError
from gateway.schema.catalog import Schema, SchemaError
from gateway.transcoding.binding import Binding, Severity, bind, build_router
from gateway.transcoding.transcoder import RulesError, Transcoder, build_transcoder
from gateway.upstream.pool import PoolError, open_pool
from gateway.upstream.reflection import ReflectionError

T = TypeVar("T")
_START_UP_ERRORS = (
    AccessLogError,
    ConfigError,
    ListenError,
    PoolError,
    ReflectionError,
    RulesError,
    SchemaError,
)

app = typer.Typer(
    help="A gRPC-to-REST transcoding gateway: google.api.http annotations in, a REST API out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Runs the command line; what keeps it from starting is one clear line and exit code 1."""
    if not {"", str(Path.cwd())} & set(sys.path):
        # --module names packages of the working directory, which a console script does not see.
        # They come last: a file that happens to be there must not stand in for a library.
        sys.path.append(str(Path.cwd()))
    try:
        app(prog_name="gateway")
    except _START_UP_ERRORS as error:
        _fail(str(error))


def read_settings(  # noqa: PLR0917 - one parameter for each flag
    config: Annotated[
        Path | None, typer.Option(help="Settings as YAML; gateway.yaml if that is there.")
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
        list[Path] | None, typer.Option(help="google.api.Service YAML with HTTP rules.")
    ] = None,
    on_conflict: Annotated[
        OnConflict | None, typer.Option(help="Two methods on one route: refuse, or take the first.")
    ] = None,
    unannotated: Annotated[
        bool | None,
        typer.Option("--unannotated", help="Give methods without a rule POST /pkg.Service/Method."),
    ] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT to serve on.")] = None,
) -> Config:
    """The configuration with these flags on top; a flag that was not given changes nothing."""
    flags = _given(
        descriptors=descriptors,
        modules=module,
        upstreams=_upstreams(upstream or []),
        reflect=reflect,
        services=service,
        service_config=service_config,
        listen=listen,
        routing=_given(on_conflict=on_conflict, unannotated=unannotated),
    )
    return load_config(config, os.environ, flags)


def _given(**flags: Any) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value not in (None, [], {})}


def _upstreams(flags: list[str]) -> dict[str, dict[str, str]]:
    upstreams: dict[str, dict[str, str]] = {}
    for number, flag in enumerate(flags, 1):
        name, equals, target = flag.partition("=")
        if not equals:
            # Clients read an upstream's name in errors, so its address will not do.
            name, target = f"upstream{number}", flag
        if not name or not target:
            _fail(f"--upstream {flag}: expected [NAME=]HOST:PORT")
        upstreams[name] = {"target": target}
    return upstreams


def configured(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the flags of `read_settings`, and what they make as `settings`."""
    own = [p for p in signature(command).parameters.values() if p.name != "settings"]
    shared = list(signature(read_settings).parameters.values())

    @wraps(command)
    def run(**options: Any) -> None:
        settings = read_settings(**{p.name: options.pop(p.name) for p in shared})
        command(settings=settings, **options)

    parameters = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in (*own, *shared)]
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined] # Typer reads it
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


@app.command()
@configured
def serve(settings: Config) -> None:
    """Serve a REST API for gRPC back ends."""
    if not settings.upstreams:
        _fail("no back end to call: give --upstream HOST:PORT")
    _run(_serve(settings))


@app.command()
@configured
def routes(
    settings: Config,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List every route: HTTP method, template, and the RPC it calls."""
    transcoder = _run(_transcoder(settings))
    rows = [_row(binding) for binding in transcoder.bindings]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    table = Table("HTTP", "template", "RPC", "kind", "body", "response body", box=None)
    for row in rows:
        table.add_row(*row.values())
    Console(width=None if sys.stdout.isatty() else 200).print(table)


@app.command()
@configured
def check(settings: Config) -> None:
    """Check every HTTP rule; exit 1 if one cannot be served."""
    schema = _run(_schema(settings))
    bindings, diagnostics = bind(schema)
    _, conflicts = build_router(bindings, on_conflict=settings.routing.on_conflict)
    diagnostics += conflicts
    for diagnostic in diagnostics:
        typer.echo(str(diagnostic))
    errors = sum(d.severity is Severity.ERROR for d in diagnostics)
    typer.echo(
        f"{len(bindings)} routes of {len(schema.methods)} methods: "
        f"{errors} errors, {len(diagnostics) - errors} warnings"
    )
    if errors:
        raise typer.Exit(1)


@app.command()
@configured
def explain(
    settings: Config,
    request: Annotated[str, typer.Argument(help="'METHOD /path?query'")],
    data: Annotated[str, typer.Option("--data", "-d", help="The body, as JSON.")] = "",
) -> None:
    """Show what a request would become: its binding, its fields, its message. Calls no one."""
    explanation = explain_request(_run(_transcoder(settings)), request, data)
    for line in explanation.lines():
        typer.echo(line)
    if explanation.error is not None:
        raise typer.Exit(1)


@app.command("config")
def show_config(
    config: Annotated[Path | None, typer.Option(help="Settings as YAML.")] = None,
    *,
    schema: Annotated[bool, typer.Option("--schema", help="Print their JSON Schema.")] = False,
) -> None:
    """Print the settings in force, or the JSON Schema of all there are."""
    if schema:
        typer.echo(json.dumps(Config.model_json_schema(), indent=2))
    else:
        settings = load_config(config, os.environ, {})
        typer.echo(settings.model_dump_json(indent=2, by_alias=True))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(installed_version("grpc-rest-gateway"))


async def _schema(config: Config) -> Schema:
    async with open_pool(config.upstreams) as pool:
        return (await load_schema(config, pool))[0]


async def _transcoder(config: Config) -> Transcoder:
    return build_transcoder(config, await _schema(config))


async def _serve(config: Config) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with open_gateway(config) as gateway:
        # What start-up made stays: saves looking through it at every collection of garbage.
        gc.collect()
        gc.freeze()
        _announce(gateway)
        await stopped.wait()
        typer.echo("gateway: finishing what is under way", err=True)


def _announce(gateway: Gateway) -> None:
    for warning in gateway.transcoder.warnings:
        typer.echo(f"gateway: {warning}", err=True)
    count = len(gateway.transcoder.bindings)
    typer.echo(f"gateway: serving {count} routes on {gateway.url}", err=True)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Runs to the end on uvloop, or on asyncio where there is none."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _row(binding: Binding) -> dict[str, str]:
    body = binding.body
    return {
        "http_method": binding.http_method,
        "template": str(binding.template),
        "rpc": binding.method.full_name,
        "kind": binding.method.kind,
        "body": body if isinstance(body, str) else body.name if body else "",
        "response_body": binding.response_body.name if binding.response_body else "",
    }


def _fail(text: str) -> NoReturn:
    typer.echo("\n".join(f"gateway: {line}" for line in text.splitlines()), err=True)
    raise SystemExit(1)
