"""A group of commands that imports a command only when it runs, or when help lists all of them.

Most commands import the settings' model or the whole gateway, half a second of processor time. A
probe that runs every few seconds must not pay for the others.
"""

from collections import UserDict
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_command

Command = Any
"""A command of Typer, which has no public type for it."""


class LazyGroup(TyperGroup):
    """A group with commands that are named by their place; subclasses set `places`."""

    places: ClassVar[Mapping[str, str]] = {}
    """By the command's name: `module:name` of its function, or of its Typer application."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands({**self.places, **self.commands})


class _Commands(UserDict[str, Command]):
    """Commands by name; one that is still a place is imported when it is asked for."""

    def __getitem__(self, name: str) -> Command:
        command = self.data[name]
        if isinstance(command, str):
            command = self.data[name] = _imported(name, command)
        return command


def _imported(name: str, place: str) -> Command:
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        command = get_command(found)
    else:
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(name)(found)
        command = get_command(alone)
    command.name = name
    return command
