"""The command line, as a user types it, run in this process."""

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from gateway.cli.main import main


@dataclass
class Done:
    """What became of a command."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str, stdin: str = "", **environment: str) -> Done:
    """Runs `gateway` with these arguments and no settings but these."""
    out, err = io.StringIO(), io.StringIO()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    with (
        patch.object(sys, "argv", ["gateway", *arguments]),
        patch.object(sys, "stdin", io.StringIO(stdin)),
        patch.dict(
            "os.environ", kept | {"COLUMNS": "200", "TERM": "dumb"} | environment, clear=True
        ),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code
        else:
            code = 0
    return Done(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())
