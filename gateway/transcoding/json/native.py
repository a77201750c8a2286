"""Chooses the codec that runs: the native one where it is installed, else the one in Python.

The native codec (`native/`, in Rust) does the same in less time. Parts of telemetry are in the same
module, and are chosen with it. The environment variable `GATEWAY_CODEC` chooses: `python` for the
definition, `native` to refuse to start without the other.
"""

import os
from types import ModuleType
from typing import Final

from gateway.status import StartUpError

VARIABLE: Final = "GATEWAY_CODEC"
_CONTRACT: Final = 8
"""The version of what both sides tell each other; a module with another one is not used."""


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
