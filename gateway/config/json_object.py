"""Reads the fields of a JSON object by the rules of ProtoJSON, with the path of what is wrong."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

_DURATION = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?s")
_MOST_ITEMS = 10_000
_MOST_CHARACTERS = 1000


def refused(path: str, text: str) -> ValueError:
    """The error for the value at `path`."""
    return ValueError(f"{path}: {text}" if path else text)


class JsonObject:
    """A JSON object at a path, whose known fields are taken one by one.

    Each method raises ValueError for a value that is not of its type; the text begins with its
    path. `ignored` gets the paths of the fields that are not known.
    """

    def __init__(self, value: object, path: str, ignored: list[str]) -> None:
        if not isinstance(value, Mapping):
            raise refused(path, "expected an object")
        self.path = path
        self.ignored = ignored
        # A null is a field that is absent (ProtoJSON).
        self._left = {str(name): one for name, one in value.items() if one is not None}

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def take(self, name: str) -> Any:
        """The value of a field, taken out; None if it is absent."""
        return self._left.pop(name, None)

    def inner(self, name: str) -> "JsonObject | None":
        """The object in a field; None if it is absent."""
        value = self.take(name)
        return None if value is None else JsonObject(value, self.at(name), self.ignored)

    def items(self, name: str) -> Iterator[tuple[object, str]]:
        """The items of the list in a field, each with its path."""
        value = self.take(name)
        if value is None:
            return
        if not isinstance(value, list | tuple):
            raise refused(self.at(name), "expected a list")
        if len(value) > _MOST_ITEMS:
            raise refused(self.at(name), f"expected at most {_MOST_ITEMS} items")
        for number, one in enumerate(value):
            yield one, f"{self.at(name)}[{number}]"

    def text(self, name: str) -> str:
        """The text of a field; empty if it is absent."""
        value = self.take(name)
        if value is not None and not isinstance(value, str):
            raise refused(self.at(name), "expected text")
        if value is not None and len(value) > _MOST_CHARACTERS:
            raise refused(self.at(name), f"expected at most {_MOST_CHARACTERS} characters")
        return value or ""

    def flag(self, name: str) -> bool:
        """The boolean of a field; false if it is absent."""
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            raise refused(self.at(name), "expected true or false")
        return bool(value)

    def number(self, name: str, least: float, most: float, *, whole: bool = False) -> float | None:
        """The number of a field, also as text; None if it is absent."""
        value = self.take(name)
        if value is None:
            return None
        wanted = f"expected a {'whole ' if whole else ''}number from {least:g} to {most:g}"
        if isinstance(value, str):  # ProtoJSON writes 64-bit numbers so
            try:
                value = float(value)
            except ValueError:
                raise refused(self.at(name), wanted) from None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise refused(self.at(name), wanted)
        if not (math.isfinite(value) and least <= value <= most) or (whole and value != int(value)):
            raise refused(self.at(name), wanted)
        return float(value)

    def seconds(self, name: str) -> float | None:
        """The duration of a field, such as 1.5s, in seconds; None if it is absent."""
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, str) or not _DURATION.fullmatch(value):
            raise refused(self.at(name), "expected a duration, such as 1.5s")
        return float(value[:-1])

    def end(self) -> None:
        """Notes the fields that were not taken as unknown."""
        self.ignored += [self.at(name) for name in self._left]
