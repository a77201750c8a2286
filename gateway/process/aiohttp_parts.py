"""Loads of aiohttp only what is used: the gateway needs its parser, and seldom its client.

`import aiohttp` loads a client, and reads the certificates of the system for it twice: five of the
megabytes of a gateway, and a tenth of the time of its start. An interceptor that uses the client,
or a JWT issuer whose keys are fetched, still finds all of it.
"""

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from threading import RLock
from typing import Final

_NAME: Final = "aiohttp"


def load_in_parts() -> None:
    """Makes modules of aiohttp load alone, until a name of the package itself is asked for.

    That name is then found as if all had been loaded at once (PEP 562). Has no effect if aiohttp is
    loaded already.
    """
    spec = find_spec(_NAME)
    if _NAME in sys.modules or spec is None or spec.loader is None:
        return
    package, execute, lock = module_from_spec(spec), spec.loader.exec_module, RLock()
    names, begun = vars(package), False

    def part(name: str) -> object:
        """Returns what the package does not have yet: a module of it, or any other name."""
        if not name.startswith("_") and find_spec(f"{_NAME}.{name}") is not None:
            return import_module(f"{_NAME}.{name}")
        nonlocal begun
        with lock:  # of two threads, one waits until the other has loaded all of it
            if not begun:
                begun = True
                execute(package)
                names.pop("__getattr__")
        if name in names:
            return names[name]
        raise AttributeError(f"module {_NAME!r} has no attribute {name!r}")

    names["__getattr__"] = part
    sys.modules[_NAME] = package
