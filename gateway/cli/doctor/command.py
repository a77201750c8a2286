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
from gateway.cli.doctor.finding import Finding, Health, fail
from gateway.cli.messages import say, visible
from gateway.config.loader import ConfigError, load_config


def doctor_command(
    config: ConfigFlag = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Examine this installation and all that it needs; exit code 1 if something fails."""
    findings = _findings(config)
    counted = Counter(one.state for one in findings)
    if as_json:
        counts = {state.value: counted[state] for state in Health}
        found = {"counts": counts, "findings": [asdict(one) for one in findings]}
        typer.echo(json.dumps(found, indent=2))
    else:
        for one in findings:
            typer.echo(_line(one))
        typer.echo(", ".join(f"{counted[state]} {state.value}" for state in Health))
    if counted[Health.FAIL]:
        raise typer.Exit(1)


def _findings(file: Path | None) -> Sequence[Finding]:
    try:
        config = load_config(file, os.environ, {}, say)
    except ConfigError as error:
        lines = str(error).splitlines()
        return [fail("settings", line, "correct it; nothing else was examined") for line in lines]
    return examine(config)


def _line(finding: Finding) -> str:
    advice = f"; {finding.advice}" if finding.advice else ""
    text = " ".join(f"{finding.text}{advice}".split())
    return visible(f"{finding.state.value:<4}  {finding.subject}: {text}")
