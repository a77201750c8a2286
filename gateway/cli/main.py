"""The `gateway` command."""

import sys
from pathlib import Path

from gateway.cli.admin_client import AdminError
from gateway.cli.health import is_plain_probe, probe
from gateway.cli.messages import fail


def main() -> None:
    """Runs the command line; the expected errors are printed in one line, with exit code 1."""
    if not {"", str(Path.cwd())} & set(sys.path):
        # --module names packages of the working directory, which is not in the path of a console
        # script. It comes last: its files must not replace a library.
        sys.path.append(str(Path.cwd()))
    try:
        if is_plain_probe(sys.argv[1:]):
            probe(sys.argv[2:])
            return
        # Only now: the parser of the command line costs more than a probe.
        from gateway.cli.commands import app  # noqa: PLC0415

        app(prog_name="gateway")
    except AdminError as error:
        fail(str(error))
    except Exception as error:
        from gateway.status import StartUpError  # noqa: PLC0415 - a probe does not need it

        if isinstance(error, StartUpError):
            fail(str(error))
        raise
