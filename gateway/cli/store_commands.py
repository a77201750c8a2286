"""What commands on a store share: which store, what they may say, how they end."""

import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from gateway.audit import Audit
from gateway.auth.names import MalformedError
from gateway.cli.tables import lifetime_s
from gateway.config.loader import load_config
from gateway.config.model import Config
from gateway.status import StartUpError
from gateway.stores.base import Store, StoreUnavailableError

T = TypeVar("T")

ConfigFlag = Annotated[
    Path | None, typer.Option(help="Settings as YAML; gateway.yaml if that is there.")
]
StoreFlag = Annotated[
    str | None,
    typer.Option(help="sqlite:///file.db or redis://host:6379/0 instead of the settings'."),
]
ScopeFlag = Annotated[list[str] | None, typer.Option(help="What it may; as often as needed.")]
LifetimeFlag = Annotated[
    float | None,
    typer.Option(parser=lifetime_s, metavar="DURATION", help="How long it lives, e.g. 15m or 90d."),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="For scripts: one JSON object a line.")]

_SECRETS = ("gwk_", "gwt_", "gwr_")
STANDARD_INPUT = "-"
"""What stands for a secret on the command line."""


class CommandError(StartUpError):
    """A command that cannot do what it was told; the text says why."""


def settings_of(config: Path | None, store: str | None) -> Config:
    """The settings, with the store that was given.

    Raises:
        ConfigError: they cannot be used.
        CommandError: there is no store that other processes share.
    """
    flags = {} if store is None else {"auth": {"store": store}}
    settings = load_config(config, os.environ, flags, note)
    url = settings.auth.store
    if url is None:
        raise CommandError(
            "no store: give --store sqlite:///file.db, or set auth.store or GATEWAY_AUTH__STORE"
        )
    if url == "memory:":
        raise CommandError(
            "a memory: store is seen by its own process alone, and this is another: "
            "use sqlite:///file.db or redis://host:6379/0"
        )
    if store is not None and settings.auth.model_dump()["store"] != store:
        note(
            "warning: the password of the store can be seen by others on this machine; "
            "put its URL into GATEWAY_AUTH__STORE instead"
        )
    return settings


def with_store(settings: Config, work: Callable[[Store, Audit], Awaitable[T]]) -> T:
    """What `work` makes of the store.

    Raises:
        StartUpError: the store cannot be asked, or is none.
    """
    import asyncio  # noqa: PLC0415 - who only watches over workers goes without

    from gateway.stores.opening import open_store  # noqa: PLC0415 - the same
    from gateway.telemetry.logs.opening import open_command_audit  # noqa: PLC0415 - the same

    async def run() -> T:
        with open_command_audit(settings.log) as audit:
            async with open_store(settings.auth.store or "") as store:
                return await work(store, audit)

    try:
        return asyncio.run(run())
    except StoreUnavailableError as error:
        raise CommandError(f"the store cannot be asked: {error}") from None


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


def secret_from_input() -> str:
    """The secret on standard input: an argument would be seen in the list of processes."""
    return sys.stdin.readline(4096).strip()


def refuse_secret(text: str) -> None:
    """Refuses a secret that is on the command line already.

    Raises:
        CommandError: it is one.
    """
    if text.startswith(_SECRETS):
        raise CommandError(
            "a secret on the command line is seen by others: give its id, "
            "or - and the secret on standard input"
        )


def note(text: str) -> None:
    """Says something to people: not on standard output, which scripts read."""
    typer.echo(f"gateway: {text}", err=True)
