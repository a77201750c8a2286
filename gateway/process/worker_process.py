"""The main function of a worker process.

It imports the code that serves only when it runs, because the supervisor's process imports this
module, too.
"""

import gc
from multiprocessing.connection import Connection

from gateway.process.aiohttp_parts import load_in_parts
from gateway.process.event_loop import run
from gateway.process.orders import Assignment, Config, Failed
from gateway.status import StartUpError


def work(config: Config, assignment: Assignment, connection: Connection, pulse: Connection) -> None:
    """Serves until the supervisor or a signal ends it."""
    gc.disable()  # until it serves, as in a gateway with one process
    load_in_parts()
    from gateway.process.serve import serve  # noqa: PLC0415 - see the module's docstring
    from gateway.process.watched import SupervisorLink  # noqa: PLC0415

    has_admin = config.admin.listen is not None
    link = SupervisorLink(assignment, connection, pulse, has_admin=has_admin)
    try:
        code = run(
            serve(
                config,
                started=link.started,
                stopping=link.leave,
                sockets=assignment.sockets,
                is_port_kept=assignment.is_port_kept,
                link=link,
            )
        )
    except StartUpError as error:
        link.report(Failed(str(error)))
        raise SystemExit(1) from None
    raise SystemExit(code)
