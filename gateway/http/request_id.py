"""Request ids: the client's id if it is well-formed, otherwise a new one."""

import re
import secrets
from typing import Final

_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9._\-]{1,128}")


class RequestIds:
    """Creates request ids: a random prefix for each process, and a counter."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._number = 0

    def choose(self, offered: str | None) -> str:
        """Returns `offered` if it is well-formed, otherwise a new id."""
        if offered is not None and _WELL_FORMED.fullmatch(offered):
            return offered
        self._number += 1
        return f"{self._prefix}-{self._number}"
