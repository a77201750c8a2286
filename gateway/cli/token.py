"""`gateway token`: manages the tokens in the gateway's store, without authentication server."""

import json
from typing import Annotated

import typer

from gateway.audit import Audit
from gateway.auth.names import check_name, check_scopes
from gateway.auth.tokens.tokens import Grant, Issued, Tokens
from gateway.cli import store_commands
from gateway.cli.messages import say
from gateway.cli.store_commands import ConfigFlag, JsonFlag, LifetimeFlag, ScopeFlag, StoreFlag
from gateway.cli.tables import expiry, print_table
from gateway.config.auth import TokenOptions
from gateway.stores.base import Store, TokenRecord, instant

app = typer.Typer(help="Tokens.", no_args_is_help=True, rich_markup_mode=None)

_MOST_ROWS = 1000


@app.command()
def issue(
    *,
    principal: Annotated[str, typer.Option(help="The principal whose calls it authenticates.")],
    scope: ScopeFlag = None,
    ttl: LifetimeFlag = None,
    client: Annotated[str, typer.Option(help="The OAuth client it is issued to.")] = "cli",
    config: ConfigFlag = None,
    store: StoreFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Issue an access token and print it: it cannot be shown again."""
    settings = store_commands.settings_of(config, store)
    scopes = store_commands.scopes_of(scope)
    grant = Grant(principal, client, scopes, _ttl_s(ttl, settings.auth.tokens))
    with store_commands.flags_named():
        check_name("principal", principal)
        check_name("client", client)
        check_scopes(scopes)
    issued = store_commands.with_store(
        settings, lambda store, audit: Tokens(store, audit).issue(grant)
    )
    _show(issued, grant, as_json=as_json)


@app.command("list")
def list_tokens(
    principal: Annotated[str | None, typer.Option(help="Only those of this principal.")] = None,
    config: ConfigFlag = None,
    store: StoreFlag = None,
    *,
    as_json: JsonFlag = False,
) -> None:
    """List the valid tokens; never their secrets. The tokens of one login share an id."""

    async def show(store: Store, audit: Audit) -> list[TokenRecord]:
        records: list[TokenRecord] = []
        async for record in Tokens(store, audit).list_all(principal):
            if as_json:
                typer.echo(json.dumps(_as_json(record)))
            elif len(records) <= _MOST_ROWS:
                records.append(record)
            else:
                break
        return records

    records = store_commands.with_store(store_commands.settings_of(config, store), show)
    if as_json:
        return
    columns = ("id", "kind", "principal", "client", "scopes", "issued", "expires")
    print_table(columns, map(_as_row, records[:_MOST_ROWS]))
    if len(records) > _MOST_ROWS:
        say(f"only the first {_MOST_ROWS} are shown; use --json for all, or --principal")


@app.command()
def revoke(
    login: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="As listed; or - to read the token from stdin."),
    ] = None,
    principal: Annotated[str | None, typer.Option(help="All tokens of this principal.")] = None,
    config: ConfigFlag = None,
    store: StoreFlag = None,
) -> None:
    """Revoke all tokens of a login: within a second every gateway rejects them."""
    if (login is None) == (principal is None):
        raise store_commands.CommandError("give the id of a login, or --principal, and not both")
    shown = store_commands.secret_given(login or "")

    async def end_them(store: Store, audit: Audit) -> int:
        tokens = Tokens(store, audit)
        if principal is not None:
            return await tokens.revoke_principal(principal)
        if shown is None:
            return await tokens.revoke_family(login or "")
        record = await tokens.find(shown)
        return 0 if record is None else await tokens.revoke_family(record.family)

    gone = store_commands.with_store(store_commands.settings_of(config, store), end_them)
    if not gone:
        raise store_commands.CommandError(
            "no such token is valid; `gateway token list` shows the valid ones"
        )
    say(f"revoked {gone} {'token' if gone == 1 else 'tokens'}")


def _ttl_s(asked_s: float | None, options: TokenOptions) -> float:
    if asked_s is None:
        return min(options.access_ttl_s, options.max_access_ttl_s)
    if asked_s > options.max_access_ttl_s:
        raise store_commands.CommandError(
            f"--ttl: expected at most {options.max_access_ttl_s:g} seconds, "
            "which is auth.tokens.max_access_ttl_s"
        )
    return asked_s


def _show(issued: Issued, grant: Grant, *, as_json: bool) -> None:
    if as_json:
        shown = {
            "access_token": issued.access_token,
            "token_type": "Bearer",
            "expires_in": int(issued.expires_in_s),
            "scope": " ".join(sorted(issued.scopes)),
            "id": issued.family,
        }
        typer.echo(json.dumps(shown))
        return
    typer.echo(issued.access_token)
    say(f"{issued.family} of {grant.principal}, for {issued.expires_in_s:g} seconds")
    say("store it now: the gateway keeps only a digest, and cannot show it again")


def _as_json(record: TokenRecord) -> dict[str, object]:
    return {
        "id": record.family,
        "kind": record.kind,
        "principal": record.principal,
        "client": record.client,
        "scopes": sorted(record.scopes),
        "issued_at": instant(record.issued_at_s),
        "expires_at": instant(record.expires_at_s),
    }


def _as_row(record: TokenRecord) -> tuple[str, ...]:
    return (
        record.family,
        record.kind,
        record.principal,
        record.client,
        " ".join(sorted(record.scopes)),
        instant(record.issued_at_s) or "",
        expiry(record.expires_at_s),
    )
