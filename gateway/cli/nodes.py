"""`gateway nodes`: lists the gateways that share a Redis."""

import json
from typing import Annotated, Any

import typer

from gateway.cli.admin_command import AdminFlag, ConfigFlag, ask_or_fail
from gateway.cli.messages import say
from gateway.cli.tables import print_table

_MEMBERS = (
    *("name", "pid", "state", "version", "uptime_s", "workers", "generation", "config", "routes"),
)
_LONG_S = 60.0
"""The time after which nodes that differ are no rollout any more."""


def nodes_command(
    config: ConfigFlag = None,
    admin: AdminFlag = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the gateways that share a Redis, and in what they differ."""
    found = ask_or_fail(config, admin, "/nodes")
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    rows = [_row(node, found["this"]) for node in found["nodes"]]
    print_table((*_MEMBERS, "last seen"), rows)
    if not found["is_shared"]:
        say("note: no store is in Redis, so only this node is known")
    for_s = found.get("differ_for_s", 0.0)
    kind = "warning" if for_s > _LONG_S else "note"
    for member, by_value in found.get("differences", {}).items():
        values = "; ".join(f"{value}: {', '.join(ids)}" for value, ids in by_value.items())
        say(f"{kind}: the nodes differ in {member}, for {for_s:.0f} s: {values}")


def _row(node: dict[str, Any], this: str) -> list[str]:
    seen = "this node" if node["id"] == this else f"{node.get('last_seen_s')} s ago"
    return [*(str(node.get(member)) for member in _MEMBERS), seen]
