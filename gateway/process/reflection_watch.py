"""Asks back ends for their descriptors again, so that a change of them starts a reload."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.app.gateway import Gateway
from gateway.app.schema_loading import hash_reflected
from gateway.status import StartUpError

logger = logging.getLogger("gateway")

_LOOK_S: Final = 5.0
"""The interval at which the setting is looked at while it is unset."""
_JITTER: Final = 0.2
"""Questions come up to 20 % earlier or later, so that those of many gateways spread."""

OnChange = Callable[[], Awaitable[object]]


async def watch_reflection(gateway: Gateway, on_change: OnChange, look_s: float = _LOOK_S) -> None:
    """Calls `on_change` when back ends describe other files than those in force; never ends.

    It is called once for each change: a reload that is refused is not tried again until the back
    ends have changed again.
    """
    seen = b""
    while True:
        every_s = gateway.config.reload.reflection_s
        jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        await asyncio.sleep((every_s or look_s) * jitter)
        if every_s is None or not gateway.config.reflect:
            continue
        opened = gateway.generations.current.opened
        try:
            found = await hash_reflected(gateway.config, opened.pool)
        except StartUpError as error:
            logger.warning("the back ends cannot be asked whether they have changed: %s", error)
            continue
        except Exception:
            logger.exception("the back ends cannot be asked whether they have changed")
            continue
        if found not in (opened.schema.reflected, seen):
            seen = found
            await on_change()
