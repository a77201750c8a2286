"""Looks into the serving processes: stacks, profiles and memory, for `admin.debug`."""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from gateway.endpoints.admin.operations import Inspect, Operations
from gateway.http.messages import Endpoints, Request, Response
from gateway.status import Code, StatusError, invalid_argument

_MOST_S: Final = 60
_USUAL_S: Final = 10
_TEXT: Final = "text/plain; charset=utf-8"


def debug_endpoints(operations: Operations) -> Endpoints:
    """Returns the endpoints; each answers with a text of what every worker says."""
    inspections = _Inspections(operations)
    return {
        "/debug/stacks": {"GET": inspections.stacks},
        "/debug/gc": {"GET": inspections.garbage},
        "/debug/memory": {"POST": inspections.memory},
        "/debug/profile": {"POST": inspections.profile},
    }


class _Inspections:
    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._measuring = asyncio.Lock()

    async def stacks(self, request: Request) -> Response:
        """Returns the stacks of all threads and tasks."""
        del request
        return _response(_headed(await self._operations.inspect(Inspect("stacks"))))

    async def garbage(self, request: Request) -> Response:
        """Returns the counts of the garbage collector."""
        del request
        return _response(_headed(await self._operations.inspect(Inspect("gc"))))

    async def memory(self, request: Request) -> Response:
        """Returns the lines of code that have allocated the most in `?seconds=10`."""
        return _response(_headed(await self._measured(request, "memory")))

    async def profile(self, request: Request) -> Response:
        """Returns the stacks of the event loop's thread in `?seconds=10`, each with its count.

        The form is that of "collapsed stacks", which speedscope and flame graphs read.
        """
        found = await self._measured(request, "profile")
        lines = [
            f"worker {number};{line}\n"
            for number, text in found.items()
            for line in text.split("\n")
        ]
        return _response("".join(lines))

    async def _measured(self, request: Request, what: str) -> Mapping[int, str]:
        """Measures for the seconds in the query of a request, one request at a time.

        Raises:
            StatusError: the query is another, or another request measures.
        """
        seconds = _seconds(request.query)
        if self._measuring.locked():
            raise StatusError(Code.RESOURCE_EXHAUSTED, "another request measures: wait for its end")
        async with self._measuring:
            # The worker ends the measurement by itself if nobody asks for the result.
            await self._operations.inspect(Inspect(what, seconds))
            await asyncio.sleep(seconds)
            return await self._operations.inspect(Inspect(what))


def _seconds(query: str) -> int:
    """Reads `seconds=10`.

    Raises:
        StatusError: INVALID_ARGUMENT for anything else.
    """
    found = parse_qsl(query, keep_blank_values=True)
    text = found[0][1] if found else str(_USUAL_S)
    is_number = text.isascii() and text.isdigit() and len(text) <= 2
    if found[1:] or (found and found[0][0] != "seconds") or not is_number:
        raise invalid_argument("seconds", f"expected only ?seconds=1 to {_MOST_S}")
    if not 1 <= int(text) <= _MOST_S:
        raise invalid_argument("seconds", f"expected 1 to {_MOST_S}")
    return int(text)


def _headed(found: Mapping[int, str]) -> str:
    return "".join(f"=== worker {number}\n{text}\n" for number, text in sorted(found.items()))


def _response(text: str) -> Response:
    return Response(200, [("Cache-Control", "no-store")], text.encode(errors="replace"), _TEXT)
