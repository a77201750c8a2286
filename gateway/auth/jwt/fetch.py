"""What those who keep keys elsewhere are asked by; who does the asking is injected."""

from collections.abc import Awaitable, Callable


class FetchError(Exception):
    """A document that cannot be had; the text says why, without the URL."""


Fetch = Callable[[str], Awaitable[bytes]]
"""Gets what is at a URL, or raises `FetchError`."""
