"""The command `gateway top`."""

import time
from contextlib import suppress
from typing import Annotated

import typer

from gateway.cli.admin_client import AdminError, admin_place, ask_json
from gateway.cli.admin_command import AdminFlag, ConfigFlag
from gateway.cli.messages import fail
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
    listen, token = admin_place(config, admin)
    screen = Screen()
    try:
        before = _sample(listen, token)
        if once:
            time.sleep(every)
            screen.show(frame(before, _sample(listen, token), screen.size[0], 10_000))
            return
    except AdminError as error:
        fail(str(error))
    with suppress(KeyboardInterrupt), screen.opened():
        _follow(screen, before, every, (listen, token))


def _follow(screen: Screen, before: Sample, every_s: float, place: tuple[str, str]) -> None:
    """Shows frames until the key q; a gateway that does not answer is waited for."""
    while screen.wait(every_s) not in {"q", "Q"}:
        try:
            after = _sample(*place)
        except AdminError as error:
            screen.show([str(error), "", "it is asked again; press q to end"])
            continue
        screen.show(frame(before, after, *screen.size))
        before = after


def _sample(listen: str, token: str) -> Sample:
    """Asks for all that a frame shows.

    Raises:
        AdminError: the gateway does not answer.
    """
    return Sample(
        ask_json(listen, "/status", token=token),
        ask_json(listen, "/workers", token=token)["workers"],
        ask_json(listen, "/traffic", token=token),
        ask_json(listen, "/upstreams", token=token)["upstreams"],
        ask_json(listen, "/failures", token=token)["failures"],
    )
