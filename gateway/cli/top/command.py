"""The command `gateway top`."""

import time
from contextlib import suppress
from typing import Annotated

import typer

from gateway.cli.admin_client import AdminClient, AdminError, admin_client
from gateway.cli.admin_command import AdminFlag, ConfigFlag
from gateway.cli.top.frame import Sample, frame
from gateway.cli.top.screen import Screen

EveryFlag = Annotated[float, typer.Option(min=1, max=60, help="Seconds between two frames.")]


def top_command(
    config: ConfigFlag = None,
    admin: AdminFlag = None,
    *,
    every: EveryFlag = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one frame, and end.")] = False,
) -> None:
    """Show what goes on: rates, failures, percentiles, upstreams, workers; q ends it."""
    client = admin_client(config, admin)
    screen = Screen()
    before = _sample(client)
    if once:
        time.sleep(every)
        screen.show(frame(before, _sample(client), screen.size[0], 10_000))
        return
    with suppress(KeyboardInterrupt), screen.opened():
        _follow(screen, before, every, client)


def _follow(screen: Screen, before: Sample, every_s: float, client: AdminClient) -> None:
    """Shows frames until the key q; a gateway that does not answer is waited for."""
    while screen.wait(every_s) not in {"q", "Q"}:
        try:
            after = _sample(client)
        except AdminError as error:
            screen.show([str(error), "", "it is asked again; press q to end"])
            continue
        screen.show(frame(before, after, *screen.size))
        before = after


def _sample(client: AdminClient) -> Sample:
    """Asks for all that a frame shows.

    Raises:
        AdminError: the gateway does not answer.
    """
    return Sample(
        client.ask("/status"),
        client.ask("/workers")["workers"],
        client.ask("/traffic"),
        client.ask("/upstreams")["upstreams"],
        client.ask("/failures")["failures"],
    )
