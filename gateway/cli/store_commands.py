"""Shared parts of the commands that work on a store."""

import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from gateway.audit import Audit
from gateway.auth.names import MalformedError
from gateway.auth.secrets import begins_as_secret
from gateway.cli.messages import say
from gateway.config.loader import Config, load_config
from gateway.status import StartUpError
from gateway.stores.base import Store, StoreUnavailableError

T = TypeVar("T")
_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd]?)")


def duration_s(text: str) -> float:
    """Seconds in a duration such as 90, 30s, 15m, 1h or 90d."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise typer.BadParameter("expected a duration such as 30s, 15m, 1h or 90d")
    return float(found[1]) * _UNITS_S[found[2]]


def lifetime_s(text: str) -> float:
    """Seconds in a duration above 0."""
    seconds = duration_s(text)
    if seconds <= 0:
        raise typer.BadParameter("expected a duration above 0")
    return seconds


ConfigFlag = Annotated[
    Path | None, typer.Option(help="Settings as YAML; gateway.yaml if that exists.")
]
StoreFlag = Annotated[
    str | None,
    typer.Option(help="sqlite:///file.db or redis://host:6379/0; replaces the setting."),
]
ScopeFlag = Annotated[list[str] | None, typer.Option(help="A granted scope; repeat it for more.")]
LifetimeFlag = Annotated[
    float | None,
    typer.Option(parser=lifetime_s, metavar="DURATION", help="Its lifetime, e.g. 15m or 90d."),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="For scripts: one JSON object per line.")]

_STANDARD_INPUT = "-"
"""The argument that stands for a secret on standard input."""


class CommandError(StartUpError):
    """A command cannot be carried out; the message says why."""


def settings_of(config: Path | None, store: str | None) -> Config:
    """Reads the settings, with the store that a flag names.

    Raises:
        ConfigError: they are invalid.
        CommandError: there is no store that other processes share.
    """
    flags = {} if store is None else {"auth": {"store": store}}
    settings = load_config(config, os.environ, flags, say)
    url = settings.auth.store
    if url is None:
        raise CommandError(
            "no store: give --store sqlite:///file.db, or set auth.store or GATEWAY_AUTH__STORE"
        )
    if url == "memory:":
        raise CommandError(
            "a memory: store belongs to one process, and this command is another: "
            "use sqlite:///file.db, redis://host:6379/0 or postgres://host/database"
        )
    if store is not None and settings.auth.model_dump()["store"] != store:
        say(
            "warning: other users of this machine can see the password of the store; "
            "put its URL into GATEWAY_AUTH__STORE instead"
        )
    return settings


def with_store(settings: Config, work: Callable[[Store, Audit], Awaitable[T]]) -> T:
    """Opens the store, runs `work` with it, and returns the result.

    Raises:
        StartUpError: the store is unavailable, or its URL is invalid.
    """
    import asyncio  # noqa: PLC0415 - the supervisor of workers must not import it

    from gateway.stores.opening import open_store  # noqa: PLC0415 - the same
    from gateway.telemetry.logs.opening import open_command_audit  # noqa: PLC0415 - the same

    async def run() -> T:
        with open_command_audit(settings.log) as audit:
            async with open_store(settings.auth.store or "") as store:
                return await work(store, audit)

    try:
        return asyncio.run(run())
    except StoreUnavailableError as error:
        raise CommandError(f"the store is unavailable: {error}") from None


def scopes_of(flag: list[str] | None) -> frozenset[str]:
    """Returns the scopes of a `ScopeFlag`, each use of which may name several."""
    return frozenset(" ".join(flag or []).split())


@contextmanager
def flags_named() -> Iterator[None]:
    """Reports a malformed value as that of its flag.

    Raises:
        CommandError: the block raised `MalformedError`.
    """
    try:
        yield
    except MalformedError as error:
        raise CommandError(f"--{error}") from None


def secret_given(argument: str) -> str | None:
    """Reads a secret from standard input if the argument is `-`; any other is no secret.

    Raises:
        CommandError: the argument is one.
    """
    refuse_secret(argument)
    return sys.stdin.readline(4096).strip() if argument == _STANDARD_INPUT else None


def refuse_secret(text: str) -> None:
    """Rejects a secret on the command line, which the list of processes shows.

    Raises:
        CommandError: the argument is one.
    """
    if begins_as_secret(text):
        raise CommandError(
            "others can see a secret on the command line: give its id, "
            "or - and the secret on standard input"
        )
