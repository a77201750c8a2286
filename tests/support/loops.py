"""The event loops that can serve: a conftest that imports this hook runs its tests on each."""

import asyncio
from collections.abc import Callable, Mapping

import uvloop

from tests.support.machine_code import alternatives

_LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The standard library's loop, and uvloop."""
    return {name: _LOOPS[name] for name in alternatives("uvloop", "asyncio")}
