"""`gateway tail`: follows the requests of a running gateway, one line each."""

import json
import secrets
import sys
import time
from contextlib import suppress
from typing import Annotated, Any, Final

import typer

from gateway.cli.admin_client import AdminClient, admin_client
from gateway.cli.admin_command import AdminFlag, ConfigFlag
from gateway.cli.messages import say, visible

_EVERY_S: Final = 0.3
_ANSWER_S: Final = 5.0


def tail_command(  # noqa: PLR0917 - one parameter for each flag
    config: ConfigFlag = None,
    admin: AdminFlag = None,
    status: Annotated[str, typer.Option(help="Only this status, or a class: 404, 5xx.")] = "",
    route: Annotated[str, typer.Option(help="Only path templates that begin so: /v1/books.")] = "",
    slow: Annotated[float, typer.Option(min=0, help="Only those that took so many ms.")] = 0.0,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    *,
    failures: Annotated[
        bool, typer.Option("--failures", help="Only failures of the gateway and its back ends.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Follow requests as they end, over all workers, until Ctrl-C."""
    client = admin_client(config, admin)
    question = {
        "follower": secrets.token_hex(16),
        "status": status,
        "route": route,
        "slow_s": slow / 1000,
        "only_failures": failures,
    }
    left = sys.maxsize if count is None else count
    with suppress(KeyboardInterrupt):
        while left:
            answer = _ask(client, question)
            if answer["dropped"]:
                say(f"{answer['dropped']} requests were dropped here: more than could be kept")
            for row in answer["requests"][:left]:
                print(json.dumps(row) if as_json else _line(row), flush=True)
            left -= min(left, len(answer["requests"]))
            if left:
                time.sleep(_EVERY_S)


def _ask(client: AdminClient, question: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps(question)
    return client.ask("/requests", method="POST", body=body, timeout_s=_ANSWER_S)


def _line(row: dict[str, Any]) -> str:
    name = row["error_type"] or row["code"]
    return visible(
        f"{row['time'][11:23]}  {row['status']}  {1000 * row['duration_s']:8.1f} ms  {name:<18}  "
        f"{row['http_method']} {row['path']}  {row['request_id']}  worker {row['worker']}"
    )
