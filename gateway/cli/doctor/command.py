"""The command `gateway doctor`."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.admin_command import ConfigFlag
from gateway.cli.doctor.examination import examine
from gateway.cli.doctor.finding import STATES, Finding, fail
from gateway.cli.messages import say, visible
from gateway.config.loader import ConfigError, load_config
from gateway.listeners.sockets import ListenError
from gateway.process.given_sockets import take_given


def doctor_command(
    config: ConfigFlag = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Examine this installation and all that it needs; exit code 1 with warnings, 2 with faults."""
    findings = _findings(config)
    counted = Counter(one.state for one in findings)
    if as_json:
        counts = {state: counted[state] for state in STATES}
        found = {"counts": counts, "findings": [asdict(one) for one in findings]}
        typer.echo(json.dumps(found, indent=2))
    else:
        for one in findings:
            typer.echo(_line(one))
        typer.echo(", ".join(f"{counted[state]} {state}" for state in STATES))
    if counted["fail"] or counted["warn"]:
        raise typer.Exit(2 if counted["fail"] else 1)


def _findings(file: Path | None) -> Sequence[Finding]:
    try:
        given = take_given(dict(os.environ))
        config = given.applied_to(load_config(file, os.environ, {}, say))
    except (ConfigError, ListenError) as error:
        lines = str(error).splitlines()
        return [fail("settings", line, "correct it; nothing else was examined") for line in lines]
    settings = {"listen": given.public, "admin.listen": given.admin}
    return examine(config, [setting for setting, sockets in settings.items() if sockets])


def _line(finding: Finding) -> str:
    advice = f"; {finding.advice}" if finding.advice else ""
    text = " ".join(f"{finding.text}{advice}".split())
    return visible(f"{finding.state:<4}  {finding.subject}: {text}")
