"""`gateway new`: writes a small project that runs with `make run`."""

import keyword
import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Annotated, Final

import typer

from gateway.status import StartUpError

_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_MARK = re.compile(r"@(project|package|Service)@")
# The names of files that would be taken for the gateway's own if they lay here under their names.
_RENAMED: Final = {
    "gitignore": ".gitignore",
    "service.py.txt": "service.py",
    "test_service.py.txt": "test_service.py",
}


def new_command(
    folder: Annotated[
        Path, typer.Argument(help="The new folder; its name is that of the API, such as my-api.")
    ],
) -> None:
    """Write a small project: a proto, a service, settings, a test, and a Makefile."""
    project = folder.name
    package = project.replace("-", "_")
    if not _NAME.fullmatch(project) or keyword.iskeyword(package):
        raise StartUpError(
            f"{project!r} cannot be the name of an API: write lower-case letters, digits and -, "
            "beginning with a letter, such as my-api"
        )
    if folder.exists() and any(folder.iterdir()):
        raise StartUpError(f"{folder} exists and is not empty: choose another folder")
    words = {
        "project": project,
        "package": package,
        "Service": "".join(word.capitalize() for word in package.split("_")),
    }
    for path, text in _files(package):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_MARK.sub(lambda mark: words[mark[1]], text), encoding="utf-8")
        typer.echo(target)
    typer.echo(f"\nNext: make -C {folder} run")


def _files(package: str) -> Iterator[tuple[PurePosixPath, str]]:
    """Yields the path of each file in the new project, and its text with marks."""

    def below(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            name = _RENAMED.get(entry.name, entry.name)
            name = re.sub(r"^package\b", package, name)
            if entry.is_dir():
                yield from below(entry, path / name)
            else:
                yield path / name, entry.read_text(encoding="utf-8")

    return below(files("gateway.cli").joinpath("new_project"), PurePosixPath())
