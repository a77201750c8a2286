"""Chooses the codec that runs: the native one where it is installed, else the one in Python.

The native codec (`native/`, in Rust) does the same in less time. Parts of telemetry are in the same
module, and are chosen with it. The environment variable `GATEWAY_CODEC` chooses: `python` for the
definition, `native` to refuse to start without the other.
"""

import os
from itertools import count
from types import ModuleType
from typing import Final, Generic, TypeVar

from gateway.status import StartUpError

T = TypeVar("T")

VARIABLE: Final = "GATEWAY_CODEC"
_CONTRACT: Final = 14
"""The version of what both sides tell each other; a module with another one is not used."""


class Indexes(Generic[T]):
    """The index by which the native module names each plan that it is told of."""

    def __init__(self) -> None:
        self._next = count()
        self._parts: dict[int, T] = {}
        self._indexes: dict[T, int] = {}

    def index(self, part: T) -> int:
        """Returns the index of a plan, or of what a plan is made of."""
        found = self._indexes.get(part)
        if found is None:
            # Two threads may do this at once: each gets an index of its own, which is right too.
            found = next(self._next)
            self._parts[found] = part
            self._indexes[part] = found
        return found

    def part(self, index: int) -> T:
        """Returns the plan with this index."""
        return self._parts[index]


def native_module() -> ModuleType | None:
    """Returns the module of the native codec, or None if Python's is to run.

    Raises:
        StartUpError: the variable has another value, or asks for a codec that is not installed.
    """
    wish = os.environ.get(VARIABLE, "")
    if wish not in ("", "python", "native"):
        raise StartUpError(f'{VARIABLE} is "{wish}": expected python or native')
    found = None if wish == "python" else _installed()
    if found is None and wish == "native":
        raise StartUpError(
            f"{VARIABLE} is native, but the native codec is not installed: build it with"
            " `make native`, or install a wheel that has it"
        )
    return found


def codec_name() -> str:
    """Returns the languages of the codec that runs, for people.

    Raises:
        StartUpError: as `native_module` does.
    """
    return "Python" if native_module() is None else "Rust"


def _installed() -> ModuleType | None:
    try:
        import gateway_native  # noqa: PLC0415 - plain wheels lack it
    except ImportError:
        return None
    return gateway_native if gateway_native.CONTRACT == _CONTRACT else None
