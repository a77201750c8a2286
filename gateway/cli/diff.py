"""`gateway diff`: the changes between two versions of an API that break its REST clients."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.messages import say, visible
from gateway.status import StartUpError


class FailOn(StrEnum):
    """The least level of a change that makes the command fail."""

    BREAKING = "breaking"
    WARNING = "warning"
    NEVER = "never"


_FAILING = {
    FailOn.BREAKING: ("breaking",),
    FailOn.WARNING: ("breaking", "warning"),
    FailOn.NEVER: (),
}


def diff_command(
    old: Annotated[
        Path,
        typer.Argument(
            help="Settings (.yaml), a descriptor set, a folder of protos, or a document (.json)."
        ),
    ],
    new: Annotated[Path, typer.Argument(help="The same, of the API after the change.")],
    *,
    config: Annotated[
        Path | None, typer.Option(help="Settings for descriptor sets and folders, as YAML.")
    ] = None,
    fail_on: Annotated[
        FailOn, typer.Option(help="The changes with which to exit with 1.")
    ] = FailOn.BREAKING,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the changes between two APIs; exit with 1 if one breaks REST clients, 2 if unusable."""
    from gateway.cli.described import describe  # noqa: PLC0415 - see cli/inspect.py
    from gateway.openapi.changes.documents import compare_documents  # noqa: PLC0415 - the same

    try:
        before, after = describe(old, config), describe(new, config)
    except StartUpError as error:
        say(str(error))
        raise SystemExit(2) from None
    elements = before.elements, after.elements
    try:
        findings = compare_documents(before.document, after.document, elements)
    except (AttributeError, KeyError, TypeError, ValueError):
        read = [str(path) for path, one in ((old, before), (new, after)) if one.is_read]
        if not read:
            raise
        say(f"{' or '.join(read)}: has another form than the documents of gateway openapi")
        raise SystemExit(2) from None
    levels = set()
    for finding in findings:
        levels.add(finding.level.value)
        found = after.elements.get(finding.element)
        is_gone = found is None
        found = found or before.elements.get(finding.element)
        place = str(new) if found is None else f"{found.place} of {old if is_gone else new}"
        if as_json:
            names = {"level": finding.level, "rule": finding.rule, "place": place}
            typer.echo(json.dumps(names | {"change": finding.text, "why": finding.why}))
        else:
            line = f"{finding.level} {finding.rule}: {place}: {finding.text}: {finding.why}"
            typer.echo(visible(line))
    if levels & set(_FAILING[fail_on]):
        raise SystemExit(1)
