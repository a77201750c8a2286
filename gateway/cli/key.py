"""`gateway key`: manages the API keys in the gateway's store."""

import json
import time
from typing import Annotated

import typer

from gateway.audit import Audit
from gateway.auth.keys.api_keys import ApiKeys, KeyRequest, MadeKey, shown_key
from gateway.cli import store_commands
from gateway.cli.messages import say
from gateway.cli.store_commands import (
    ConfigFlag,
    JsonFlag,
    LifetimeFlag,
    ScopeFlag,
    StoreFlag,
    duration_s,
)
from gateway.cli.tables import expiry, print_table
from gateway.stores.base import KeyRecord, Store, instant

app = typer.Typer(help="API keys.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def create(
    *,
    owner: Annotated[str, typer.Option(help="The principal whose calls it authenticates.")],
    scope: ScopeFlag = None,
    network: Annotated[
        list[str] | None, typer.Option(help="A network it may be used from, e.g. 10.0.0.0/8.")
    ] = None,
    ttl: LifetimeFlag = None,
    config: ConfigFlag = None,
    store: StoreFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Create a key and print it: it cannot be shown again."""
    with store_commands.flags_named():
        request = KeyRequest(owner, store_commands.scopes_of(scope), ttl, tuple(network or []))
    settings = store_commands.settings_of(config, store)
    made = store_commands.with_store(
        settings, lambda store, audit: ApiKeys(store, audit).create(request)
    )
    if not settings.auth.takes_keys:
        say("warning: auth.order does not contain key, so the gateway accepts no keys")
    _show(made, as_json=as_json)


@app.command("list")
def list_keys(
    config: ConfigFlag = None, store: StoreFlag = None, *, as_json: JsonFlag = False
) -> None:
    """List all keys, including expired ones; never their secrets."""

    async def collect(store: Store, audit: Audit) -> list[KeyRecord]:
        return [record async for record in ApiKeys(store, audit).list_all()]

    records = store_commands.with_store(store_commands.settings_of(config, store), collect)
    if as_json:
        for record in records:
            typer.echo(json.dumps(shown_key(record)))
        return
    columns = ("id", "owner", "scopes", "networks", "created", "expires", "last used")
    print_table(columns, map(_as_row, records))


@app.command()
def rotate(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `gateway key list` shows it.")],
    overlap: Annotated[
        float | None,
        typer.Option(
            parser=duration_s,
            metavar="DURATION",
            help="How long the old secret stays valid, e.g. 1h.",
        ),
    ] = None,
    config: ConfigFlag = None,
    store: StoreFlag = None,
    *,
    as_json: JsonFlag = False,
) -> None:
    """Give a key a new secret and print it: it cannot be shown again."""
    store_commands.refuse_secret(key_id)
    settings = store_commands.settings_of(config, store)
    made = store_commands.with_store(
        settings, lambda store, audit: ApiKeys(store, audit).rotate(key_id, overlap or 0.0)
    )
    if made is None:
        raise _unknown()
    _show(made, as_json=as_json)


@app.command()
def revoke(
    key_id: Annotated[
        str, typer.Argument(metavar="ID", help="As listed; or - to read the key from stdin.")
    ],
    config: ConfigFlag = None,
    store: StoreFlag = None,
) -> None:
    """Revoke a key: within a second every gateway rejects it."""
    shown = store_commands.secret_given(key_id)

    async def end_it(store: Store, audit: Audit) -> str | None:
        keys = ApiKeys(store, audit)
        if shown is None:
            return key_id if await keys.revoke(key_id) else None
        record = await keys.verify(shown)
        return record.id if record is not None and await keys.revoke(record.id) else None

    revoked = store_commands.with_store(store_commands.settings_of(config, store), end_it)
    if revoked is None:
        raise _unknown()
    say(f"revoked {revoked}")


def _show(made: MadeKey, *, as_json: bool) -> None:
    record = made.record
    if as_json:
        typer.echo(json.dumps({"key": made.secret} | shown_key(record)))
        return
    typer.echo(made.secret)
    say(f"{record.id} of {record.owner}; expires: {expiry(record.expires_at_s)}")
    say("store it now: the gateway keeps only a digest, and cannot show it again")
    if record.expires_at_s is not None and record.expires_at_s <= time.time():
        say("warning: this key has expired; create another with `gateway key create`")


def _as_row(record: KeyRecord) -> tuple[str, ...]:
    return (
        record.id,
        record.owner,
        " ".join(sorted(record.scopes)),
        " ".join(record.networks) or "anywhere",
        instant(record.created_at_s) or "",
        expiry(record.expires_at_s),
        instant(record.last_used_at_s) or "never",
    )


def _unknown() -> store_commands.CommandError:
    return store_commands.CommandError("no such key; `gateway key list` shows the existing ones")
