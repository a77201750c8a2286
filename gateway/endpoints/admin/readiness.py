"""The readiness of the gateway, with the stores and upstreams that its operators ask for."""

from collections.abc import Mapping
from typing import Final

from gateway.endpoints.admin.operations import Details, Operations
from gateway.http.messages import Request, Response

_SERVING: Final = "serving"
_STORE: Final = "store"
_UPSTREAM: Final = "upstreams."
_USABLE: Final = ("idle", "connecting", "ready")
"""The states of endpoints that take calls."""


class Readiness:
    """Says whether clients should come, and why not."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def why_not(self) -> str:
        """Returns the reason why clients should go elsewhere; empty if they need not."""
        return next((_reason(*one) for one in await self._checks() if one[1]), "")

    async def answer(self, request: Request) -> Response:
        """Answers 200, or 503 with the reason; with `?verbose`, one line for each check."""
        checks = await self._checks()
        reason = next((_reason(*one) for one in checks if one[1]), "")
        lines = [reason or "ok"]
        if request.query == "verbose":
            lines = [
                f"ok: {name}" if not why else f"fail: {_reason(name, why)}" for name, why in checks
            ]
        text = "".join(f"{line}\n" for line in lines).encode()
        headers = [("Cache-Control", "no-store")]
        return Response(503 if reason else 200, headers, text, "text/plain; charset=utf-8")

    async def _checks(self) -> list[tuple[str, str]]:
        """Returns each check with the reason why it fails; empty if it does not.

        What the gateway depends on is not asked for while it does not serve.
        """
        operations = self._operations
        why = operations.why_not_ready()
        required = () if why else operations.config.admin.ready_requires
        details = await operations.details() if required else {}
        return [(_SERVING, why), *((name, _why_not(name, details)) for name in required)]


def _reason(name: str, why: str) -> str:
    return why if name == _SERVING else f"{name}: {why}"


def _why_not(name: str, details: Mapping[int, Details]) -> str:
    """Returns the reason why a dependency fails, as the workers that responded see it.

    One worker that can use it is enough: the others may not have tried yet.
    """
    if not details:
        return "no worker responds"
    if name == _STORE:
        down = frozenset.intersection(*(one.stores_down for one in details.values()))
        return f"unavailable for {', '.join(sorted(down))}" if down else ""
    upstream = name.removeprefix(_UPSTREAM)
    states = [
        row.state for one in details.values() for row in one.endpoints if row.upstream == upstream
    ]
    # An upstream of grpcio reports no endpoints, so nothing is known against it.
    if not states or any(state in _USABLE for state in states):
        return ""
    return f"no endpoint takes calls: {', '.join(sorted(set(states)))}"
