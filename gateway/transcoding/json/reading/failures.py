"""The invalid values of one body: where each is, and what was expected there."""

import json
import re
import time
from typing import Final

from gateway.status import FieldViolation, StatusError, invalid_fields
from gateway.transcoding.json.reading.number import Number
from gateway.transcoding.text_forms import shown

MAX_VIOLATIONS: Final = 20
"""The most invalid values that one error names; reading stops there."""

_SAFE_NAME: Final = re.compile(r"[\w.\[\]@-]{1,64}")


_VALUES_AT_A_TIME: Final = 2048
_EXCERPT_BYTES: Final = 512


class Failures:
    """Collects the invalid values of one body while it is read; counts the values read.

    A reader adds a failure without knowing where it is. Each reader above it puts its own step
    before the paths of the new failures, so that a path costs nothing where nothing is wrong.
    """

    def __init__(self) -> None:
        self.count = 0
        self.is_full = False
        self._found: list[tuple[str, list[str]]] = []
        self._values = 0

    def passed(self, values: int) -> None:
        """Counts values, and lets other threads run after every few thousand of them.

        Machine code keeps the interpreter lock until it gives it away.
        """
        self._values += values
        if self._values >= _VALUES_AT_A_TIME:
            self._values = 0
            time.sleep(0)

    def add(self, description: str) -> int:
        """Adds an invalid value; returns 0, the size of what is written for it."""
        if not self.is_full:
            self._found.append((description, []))
            self.count += 1
            self.is_full = self.count >= MAX_VIOLATIONS
        return 0

    def expected(self, what: str, tree: object) -> int:
        """Adds that `what` was expected instead of a value; returns 0 as `add` does."""
        return self.add(f"expected {what}, got {kind_of(tree)}")

    def prefix(self, first: int, step: str) -> None:
        """Puts a step before the paths of all failures from the one with index `first`."""
        for _, path in self._found[first:]:
            path.append(step)

    def forget(self, first: int) -> None:
        """Takes back all failures from the one with index `first`."""
        del self._found[first:]
        self.count = first
        self.is_full = False

    def error(self) -> StatusError:
        """Makes the error that names every invalid value."""
        return invalid_fields(
            [
                FieldViolation("".join(reversed(path)).removeprefix("."), description)
                for description, path in self._found
            ]
        )


def member_step(name: str | bytes) -> str:
    """The step to a member of an object: its name, bare if it can be a field's, else quoted."""
    if isinstance(name, str) and _SAFE_NAME.fullmatch(name):
        return "." + name
    return "." + _shown(name)


def key_step(key: str | bytes) -> str:
    """The step to the value of a map's key."""
    return f"[{_shown(key)}]"


def _shown(text: str | bytes) -> str:
    return shown(text if isinstance(text, str) else excerpt(text))


def excerpt(text: bytes) -> str:
    """Returns the beginning of a long text in UTF-8, longer than errors show and times are."""
    return text[:_EXCERPT_BYTES].decode("utf-8", "ignore")


def kind_of(tree: object) -> str:
    """Describes a value for an error message."""
    if isinstance(tree, tuple):
        return "an object"
    if isinstance(tree, list):
        return "an array"
    if type(tree) is int or type(tree) is Number:
        return shown(str(tree))[1:-1]
    if isinstance(tree, str | bytes):
        return _shown(tree)
    if tree is None or isinstance(tree, bool):
        return json.dumps(tree)
    return str(tree)  # an object or array of a large text
