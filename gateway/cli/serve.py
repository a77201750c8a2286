"""`gateway serve`: runs the gateway.

The command imports the code of the gateway only when it runs one in this process, and that of the
supervisor only for several workers: neither needs the memory of the other, and `--help` needs none.
"""

import gc
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.cli.flags import Config, configured
from gateway.cli.messages import fail, say
from gateway.process.aiohttp_parts import load_in_parts
from gateway.process.announcements import are_in_log
from gateway.process.event_loop import run
from gateway.process.given_sockets import take_given

if TYPE_CHECKING:
    from gateway.app.gateway import Gateway


@configured
def serve_command(settings: Config, read: Callable[[], Config]) -> None:
    """Serve a REST API for gRPC back ends."""
    if not settings.upstreams:
        fail("no back end to call: give --upstream HOST:PORT")
    given = take_given(os.environ)
    settings = given.applied_to(settings)

    def read_again() -> Config:
        return given.applied_to(read())

    if settings.workers != 1 or settings.supervisor.always:
        from gateway.process.supervisor import serve_workers  # noqa: PLC0415 - two megabytes
        from gateway.process.worker_process import work  # noqa: PLC0415

        code = serve_workers(
            *(settings, say, read_again), work=work, given=given.public, admin_sockets=given.admin
        )
        raise SystemExit(code)
    # No garbage collection during start-up: it creates hundreds of thousands of objects that all
    # stay, and searching them takes as long as creating them. `serve` turns it on again.
    gc.disable()
    load_in_parts()
    try:
        from gateway.process.serve import serve  # noqa: PLC0415 - see the module's docstring

        is_logged = are_in_log(settings.log)
        started, stopping = (_nothing, _nothing) if is_logged else (_announce, _announce_end)
        code = run(
            serve(
                settings,
                started=started,
                stopping=stopping,
                sockets=given.public,
                admin_sockets=given.admin,
                is_port_kept=given.public is not None,
                read=read_again,
            )
        )
    finally:
        gc.enable()
    raise SystemExit(code)


def _announce(gateway: "Gateway") -> None:
    for warning in gateway.warnings:
        say(warning)
    say(f"serving {len(gateway.transcoder.bindings)} routes on {gateway.url}")


def _announce_end() -> None:
    say("finishing the requests under way")


def _nothing(*_: object) -> None:
    """Prints nothing: the log has the message already."""
