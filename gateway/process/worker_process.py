"""One worker process: it serves what its supervisor has given it, and does as it is told.

What serves is imported only once the process runs: the supervisor imports this module, too.
"""

import gc
from multiprocessing.connection import Connection

from gateway.config.model import Config
from gateway.process.orders import Failed, Post
from gateway.status import StartUpError


def work(config: Config, post: Post, connection: Connection, pulse: Connection) -> None:
    """Serves until the supervisor or a signal ends it."""
    gc.disable()  # until it serves, as in a process of its own
    from gateway.process.serve import run, serve  # noqa: PLC0415 - see the module's docstring
    from gateway.process.watched import Watched  # noqa: PLC0415

    watched = Watched(post, connection, pulse)
    try:
        run(
            serve(
                config,
                started=watched.started,
                stopping=watched.leave,
                sockets=post.sockets,
                watched=watched,
            )
        )
    except StartUpError as error:
        watched.report(Failed(str(error)))
        raise SystemExit(1) from None
