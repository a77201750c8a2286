"""The types of ASGI 3 (https://asgi.readthedocs.io/en/latest/specs/main.html)."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
"""An event, by the names of its members."""
Scope = MutableMapping[str, Any]
"""The facts about a connection or a request that are known before its events."""
Receive = Callable[[], Awaitable[Message]]
"""Returns the next event from the client."""
Send = Callable[[Message], Awaitable[None]]
"""Sends an event to the client."""
