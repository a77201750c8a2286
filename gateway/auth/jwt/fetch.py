"""Interface for fetching remote key documents; the client is injected."""

from collections.abc import Awaitable, Callable


class FetchError(Exception):
    """A document could not be fetched; the message says why, without the URL."""


Fetch = Callable[[str], Awaitable[bytes]]
"""Returns the document at a URL, or raises `FetchError`."""
