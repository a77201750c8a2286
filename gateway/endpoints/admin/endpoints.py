"""The endpoints of the admin listener, by path and HTTP method."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Final

from gateway.cache.tags import Purge, PurgeBy
from gateway.endpoints.admin.certificates import shown_certificates
from gateway.endpoints.admin.failures import shown_failures
from gateway.endpoints.admin.operations import LogLevel, Operations
from gateway.endpoints.admin.readiness import Readiness
from gateway.endpoints.admin.shown_settings import shown_settings
from gateway.endpoints.admin.traffic import Traffic
from gateway.endpoints.admin.upstreams import shown_upstreams
from gateway.http.messages import Endpoint, Endpoints, Request, Response
from gateway.status import Code, StartUpError, StatusError, invalid_argument

__all__ = ["Code", "Endpoint", "Endpoints", "Operations", "Request", "Response", "StatusError"]
__all__ += ["invalid_argument"]
__all__ += ["admin_endpoints", "failure", "json_object", "json_response"]

_JSON: Final = "application/json"
_LONGEST_LEVEL_S: Final = 86_400
"""The longest time for a log level; the settings have levels for longer."""
_NO_STORE: Final = ("Cache-Control", "no-store")


def admin_endpoints(operations: Operations) -> Endpoints:
    """Returns the endpoints that show and change the gateway behind `operations`."""
    shown = _Shown(operations)
    return {
        "/livez": {"GET": _probe(operations.why_not_live)},
        "/startupz": {"GET": _probe(operations.why_not_started)},
        "/readyz": {"GET": shown.readiness.answer},
        "/status": {"GET": shown.status},
        "/config": {"GET": shown.config},
        "/config/origins": {"GET": shown.origins},
        "/routes": {"GET": shown.routes},
        "/workers": {"GET": shown.workers},
        "/upstreams": {"GET": shown.upstreams},
        "/certificates": {"GET": shown.certificates},
        "/failures": {"GET": shown.failures},
        "/traffic": {"GET": shown.traffic},
        "/log/level": {"GET": shown.level, "PUT": shown.set_level, "POST": shown.set_level},
        "/cache/purge": {"POST": shown.purge},
        "/reload": {"POST": shown.reload},
        "/drain": {"POST": shown.drain},
        "/undrain": {"POST": shown.undrain},
    }


def failure(error: StatusError) -> Response:
    """Returns the response for a failure, in the shape of AIP-193."""
    body = {
        "error": {
            "code": error.http_status,
            "message": error.message,
            "status": error.code.name,
        }
    }
    response = json_response(body, error.http_status)
    response.headers += error.headers
    return response


def json_response(value: object, status: int = 200) -> Response:
    """Returns a response with a JSON body, which caches must not keep."""
    body = json.dumps(value, indent=2).encode() + b"\n"
    return Response(status, [_NO_STORE], body, _JSON)


def _probe(why_not: Callable[[], str]) -> Endpoint:
    """Returns an endpoint that answers 200, or 503 with a reason."""

    async def answer(request: Request) -> Response:
        del request
        reason = why_not()
        text = f"{reason or 'ok'}\n".encode()
        return Response(503 if reason else 200, [_NO_STORE], text, "text/plain; charset=utf-8")

    return answer


class _Shown:
    """The parts of one gateway that operators see and change."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self.readiness = Readiness(operations)
        self._traffic = Traffic(lambda: operations.exposition)
        self._since_s = time.monotonic()
        self._fall_back: asyncio.TimerHandle | None = None
        """Sets the log level that was in force before one for a limited time."""

    async def status(self, request: Request) -> Response:
        """Returns the state of the whole gateway."""
        del request
        operations, workers = self._operations, await self._operations.workers()
        reason = await self.readiness.why_not()
        counted = [one for one in workers if one.connections is not None]
        return json_response(
            {
                "version": version("grpc-rest-gateway"),
                "pid": os.getpid(),
                "uptime_s": round(time.monotonic() - self._since_s, 1),
                "listen": operations.url or None,
                "ready": not reason,
                "reason": reason or None,
                "draining": operations.is_draining,
                "routes": len(operations.routes),
                "generation": operations.generation,
                "log_level": operations.level,
                "workers": {
                    "configured": len(workers),
                    "serving": sum(one.state == "serving" for one in workers),
                },
                "connections": sum(one.connections or 0 for one in counted),
                "requests_in_progress": sum(one.requests or 0 for one in counted),
            }
        )

    async def config(self, request: Request) -> Response:
        """Returns the settings in force, without secrets."""
        del request
        return json_response(shown_settings(self._operations.config))

    async def origins(self, request: Request) -> Response:
        """Returns the source of each setting that is no default."""
        del request
        return json_response({"origins": dict(self._operations.config.origins)})

    async def routes(self, request: Request) -> Response:
        """Returns the routes."""
        del request
        return json_response({"routes": [asdict(route) for route in self._operations.routes]})

    async def workers(self, request: Request) -> Response:
        """Returns the state of each worker."""
        del request
        workers = await self._operations.workers()
        return json_response({"workers": [_renamed(asdict(worker)) for worker in workers]})

    async def upstreams(self, request: Request) -> Response:
        """Returns the upstreams with their endpoints, as the workers see them."""
        del request
        details = await self._operations.details()
        return json_response(shown_upstreams(self._operations.config, details))

    async def failures(self, request: Request) -> Response:
        """Returns the last failed requests."""
        del request
        return json_response(shown_failures(await self._operations.details()))

    async def traffic(self, request: Request) -> Response:
        """Returns the number of requests and their durations, as sums since the start."""
        del request
        return Response(200, [_NO_STORE], json.dumps(await self._traffic.now()).encode(), _JSON)

    async def certificates(self, request: Request) -> Response:
        """Returns the certificates in the files that the settings name."""
        del request
        shown = await asyncio.to_thread(shown_certificates, self._operations.config)
        return json_response({"certificates": shown})

    async def level(self, request: Request) -> Response:
        """Returns the log level in force."""
        del request
        return json_response({"level": self._operations.level})

    async def set_level(self, request: Request) -> Response:
        """Changes the log level to the one in the body: `{"level": "debug", "for_s": 600}`.

        With `for_s`, the level before it comes back after these seconds, unless it has changed.
        """
        level, for_s = _level(await json_object(request))
        before = self._operations.level
        if self._fall_back is not None:
            self._fall_back.cancel()
            self._fall_back = None
        self._operations.set_level(level)
        if for_s is None:
            return json_response({"level": level})

        def fall_back() -> None:
            if self._operations.level is level:
                self._operations.set_level(before)

        self._fall_back = asyncio.get_running_loop().call_later(for_s, fall_back)
        return json_response({"level": level, "for_s": for_s})

    async def purge(self, request: Request) -> Response:
        """Drops the stored replies that the body selects: `{"tag": "book:1", "soft": true}`."""
        report = await self._operations.purge(_purge(await json_object(request)))
        if report.missing:
            numbers = ", ".join(map(str, report.missing))
            raise StatusError(
                Code.UNAVAILABLE,
                f"not all workers answered in time (missing: {numbers}); the others have dropped "
                f"{report.replies} replies: repeat it",
                headers=[("Retry-After", "1")],
            )
        return json_response({"replies": report.replies})

    async def reload(self, request: Request) -> Response:
        """Reloads the settings; with the body `{"dry_run": true}`, only says what would change."""
        wanted = await json_object(request, default=b"{}")
        dry_run = wanted.pop("dry_run", False)
        if wanted or not isinstance(dry_run, bool):
            raise invalid_argument("", 'expected nothing, or {"dry_run": true}')
        try:
            report = await self._operations.reload(dry_run=dry_run)
        except StartUpError as error:
            raise StatusError(Code.FAILED_PRECONDITION, str(error)) from None
        return json_response({"dry_run": dry_run} | asdict(report))

    async def drain(self, request: Request) -> Response:
        """Makes the gateway not ready; it goes on serving what still comes."""
        del request
        self._operations.set_draining(is_draining=True)
        return json_response({"draining": True})

    async def undrain(self, request: Request) -> Response:
        """Makes the gateway ready again."""
        del request
        self._operations.set_draining(is_draining=False)
        return json_response({"draining": self._operations.is_draining})


def _level(wanted: dict[str, Any]) -> tuple[LogLevel, float | None]:
    """Reads a log level, and the seconds for which it holds; None for no limit.

    Raises:
        StatusError: INVALID_ARGUMENT, if it is anything else.
    """
    try:
        level = LogLevel(str(wanted.pop("level", None)))
    except ValueError:
        choices = ", ".join(LogLevel)
        raise invalid_argument("level", f"expected one of {choices}") from None
    for_s = wanted.pop("for_s", None)
    if wanted:
        raise invalid_argument("", 'expected only {"level": ..., "for_s": ...}')
    is_number = isinstance(for_s, int | float) and not isinstance(for_s, bool)
    if for_s is not None and not (is_number and 0 < for_s <= _LONGEST_LEVEL_S):
        raise invalid_argument("for_s", f"expected seconds, up to {_LONGEST_LEVEL_S}")
    return level, for_s


def _purge(wanted: dict[str, Any]) -> Purge:
    """Reads the selection of stored replies.

    Raises:
        StatusError: INVALID_ARGUMENT, if it is not exactly one.
    """
    soft = wanted.pop("soft", False)
    if not isinstance(soft, bool):
        raise invalid_argument("soft", "expected true or false")
    if len(wanted) != 1 or not wanted.keys() <= set(PurgeBy):
        choices = ", ".join(PurgeBy)
        raise invalid_argument("", f"expected exactly one of {choices}, and soft if wanted")
    ((name, value),) = wanted.items()
    by = PurgeBy(name)
    if by is PurgeBy.ALL:
        if value is not True:
            raise invalid_argument(name, "expected true")
        return Purge(by, soft=soft)
    if not isinstance(value, str) or not value:
        raise invalid_argument(name, "expected a text that is not empty")
    if by is PurgeBy.PATH and (not value.startswith("/") or "?" in value):
        raise invalid_argument(name, "expected a path without a query, such as /v1/books/1")
    return Purge(by, value, soft)


def _renamed(worker: dict[str, Any]) -> dict[str, Any]:
    worker["requests_in_progress"] = worker.pop("requests")
    return worker


async def json_object(request: Request, default: bytes = b"") -> dict[str, Any]:
    """Reads a JSON object from the body, or from `default` if there is none."""
    body = b"" if request.body is None else b"".join(await request.body.read())
    body = body or default
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise invalid_argument("", "expected a JSON object")
    return found
