"""The sample back ends as real servers on free ports of 127.0.0.1, with reflection."""

from contextlib import AbstractAsyncContextManager
from functools import partial

from services import echo, library
from services.holdings import Holdings
from services.serving import serve


def library_server(holdings: Holdings | None = None) -> AbstractAsyncContextManager[str]:
    """A library of its own, freshly seeded unless one is given; yields its address."""
    return serve(partial(library.register, holdings=holdings))


def echo_server() -> AbstractAsyncContextManager[str]:
    """An echo service; yields its address."""
    return serve(echo.register)
