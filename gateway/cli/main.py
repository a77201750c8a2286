"""The command line: `gateway serve`, and what to ask before serving.

What serves is imported by the commands that need it: the process that watches over workers does
not, and neither does `--help`.
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from inspect import Parameter, Signature, signature
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from gateway.cli import key, token
from gateway.cli.route_lines import route_lines
from gateway.cli.tables import visible
from gateway.config.loader import load_config
from gateway.config.model import Config, OnConflict
from gateway.process.announcements import are_in_log
from gateway.process.supervisor import serve_workers
from gateway.status import StartUpError

if TYPE_CHECKING:
    from gateway.app.gateway import Gateway

app = typer.Typer(
    help="A gRPC-to-REST transcoding gateway: google.api.http annotations in, a REST API out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,  # they hold secrets
)
app.add_typer(token.app, name="token")
app.add_typer(key.app, name="key")


_ANY_WIDTH = 1000
"""Columns where nobody says how many there are: lines for other programs are not folded."""


def main() -> None:
    """Runs the command line; what keeps it from starting is one clear line and exit code 1."""
    if not {"", str(Path.cwd())} & set(sys.path):
        # --module names packages of the working directory, which a console script does not see.
        # They come last: a file that happens to be there must not stand in for a library.
        sys.path.append(str(Path.cwd()))
    try:
        app(prog_name="gateway")
    except StartUpError as error:
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
        OnConflict | None, typer.Option(help="Two methods on one route: refuse, first, or last.")
    ] = None,
    unannotated: Annotated[
        bool | None,
        typer.Option("--unannotated", help="Give methods without a rule POST /pkg.Service/Method."),
    ] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT to serve on.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that serve it; 0 for one on each core it may use.")
    ] = None,
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
        workers=workers,
        routing=_given(on_conflict=on_conflict, unannotated=unannotated),
    )
    return load_config(config, os.environ, flags, _say)


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
        if name in upstreams:
            _fail(f"--upstream {flag}: another is called {name}, too: give it a name of its own")
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
    if settings.workers != 1:
        serve_workers(settings, _say)
        return
    # Start-up makes hundreds of thousands of objects, all to stay: to look for garbage among them
    # takes as long as to make them. `serving` turns it on again when it serves.
    gc.disable()
    try:
        from gateway.process import serve as serving  # noqa: PLC0415 - see the module's docstring

        is_told = are_in_log(settings.log)
        started, stopping = (_nothing, _nothing) if is_told else (_announce, _announce_end)
        serving.run(serving.serve(settings, started=started, stopping=stopping))
    finally:
        gc.enable()


@app.command()
@configured
def routes(
    settings: Config,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List every route: HTTP method, template, and the RPC it calls."""

    from gateway.cli import inspect as inspection  # noqa: PLC0415

    rows = inspection.routes(settings)
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    for line in route_lines(rows, get_terminal_size((_ANY_WIDTH, 0)).columns):
        typer.echo(line)


@app.command()
@configured
def check(
    settings: Config,
    *,
    online: Annotated[
        bool, typer.Option("--online", help="Ask the upstreams (--reflect) and Redis, too.")
    ] = False,
) -> None:
    """Check all that `serve` needs: rules, policies, files, drivers; exit 1 if it cannot start."""
    from gateway.cli import inspect as inspection  # noqa: PLC0415 - see the module's docstring

    found = inspection.check(settings, online=online)
    for diagnostic in found.diagnostics:
        typer.echo(visible(str(diagnostic)))
    for missing in found.without_policy:
        typer.echo(visible(f"error: {missing}"))
    for fault in found.faults:
        _say(fault)
    for line in found.notes:
        _say(f"note: {line}")
    wrong = sum(diagnostic.is_error for diagnostic in found.diagnostics)
    errors = wrong + len(found.without_policy) + len(found.faults)
    warnings = len(found.diagnostics) - wrong
    typer.echo(f"{found.extent}: {errors} errors, {warnings} warnings")
    if errors:
        raise typer.Exit(1)


@app.command()
@configured
def explain(
    settings: Config,
    request: Annotated[list[str], typer.Argument(help="METHOD '/path?query'")],
    data: Annotated[str, typer.Option("--data", "-d", help="The body, as JSON.")] = "",
) -> None:
    """Show what a request would become: its binding, its fields, its message. Calls no one."""
    from gateway.cli import inspect as inspection  # noqa: PLC0415 - see the module's docstring

    explanation = inspection.explain(settings, " ".join(request), data)
    for line in explanation.lines():
        typer.echo(visible(line))
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
        settings = load_config(config, os.environ, {}, _say)
        text = settings.model_dump_json(indent=2, by_alias=True)
        # JSON leaves some characters as they are that would move a terminal's cursor.
        shown = (c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
        typer.echo("".join(shown))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(_version())


def _show_version(asked: bool) -> None:  # noqa: FBT001 - Typer's shape
    if asked:
        typer.echo(_version())
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Takes what stands before a command."""


def _version() -> str:
    module = find_spec("gateway.call")  # one of those that are compiled, if any is
    is_python = module is None or str(module.origin).endswith(".py")
    how = "" if is_python else ", as machine code"
    return installed_version("grpc-rest-gateway") + how


def _announce(gateway: "Gateway") -> None:
    for warning in gateway.warnings:
        _say(warning)
    _say(f"serving {len(gateway.transcoder.bindings)} routes on {gateway.url}")


def _nothing(*_: object) -> None:
    """Says what the log has said already."""


def _announce_end() -> None:
    _say("finishing what is under way")


def _fail(text: str) -> NoReturn:
    _say(text)
    raise SystemExit(1)


def _say(text: str) -> None:
    typer.echo("\n".join(f"gateway: {visible(line)}" for line in text.split("\n")), err=True)
