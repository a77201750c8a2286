"""The requests that an operator follows, as the admin listener shows them."""

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.endpoints.admin.endpoints import (
    Code,
    Endpoint,
    Operations,
    Request,
    Response,
    StatusError,
    invalid_argument,
    json_object,
    json_response,
)
from gateway.endpoints.admin.failures import shown_row
from gateway.telemetry.following import MOST_FOLLOWERS, Follow, Followed

_FOLLOWER: Final = re.compile(r"[0-9a-f]{16,64}")
_STATUS: Final = re.compile(r"[1-5](?:xx|[0-9]{2})")
_LONGEST_ROUTE: Final = 1000
_MEMBERS: Final = frozenset({"follower", "status", "route", "slow_s", "only_failures"})


def followed_endpoint(operations: Operations) -> Endpoint:
    """Returns the endpoint that answers with the requests since the last question."""

    async def answer(request: Request) -> Response:
        follow = _follow(await json_object(request))
        return json_response(_shown(await operations.follow(follow)))

    return answer


def _shown(found: Mapping[int, Followed]) -> dict[str, Any]:
    """Returns the answers of all workers, merged in the order in which requests ended.

    Raises:
        StatusError: RESOURCE_EXHAUSTED, if too many follow already.
    """
    if any(one.is_refused for one in found.values()):
        raise StatusError(
            Code.RESOURCE_EXHAUSTED,
            f"{MOST_FOLLOWERS} others follow the requests: end one of them, and wait five seconds",
        )
    rows = [(one, worker) for worker, each in found.items() for one in each.requests]
    rows.sort(key=lambda pair: pair[0].at_s)
    return {
        "workers_responding": len(found),
        "dropped": sum(one.dropped for one in found.values()),
        "requests": [shown_row(one, worker) for one, worker in rows],
    }


def _follow(wanted: dict[str, Any]) -> Follow:
    """Reads the question.

    Raises:
        StatusError: INVALID_ARGUMENT, with what would be right.
    """
    unknown = wanted.keys() - _MEMBERS
    if unknown:
        raise invalid_argument(min(unknown), f"expected only {', '.join(sorted(_MEMBERS))}")
    follower, status = wanted.get("follower"), wanted.get("status", "")
    route, slow_s = wanted.get("route", ""), wanted.get("slow_s", 0)
    only_failures = wanted.get("only_failures", False)
    if not isinstance(follower, str) or not _FOLLOWER.fullmatch(follower):
        raise invalid_argument("follower", "expected 16 to 64 random digits, 0-9 and a-f")
    if not isinstance(status, str) or (status and not _STATUS.fullmatch(status)):
        raise invalid_argument("status", "expected a status such as 404, or a class such as 5xx")
    if not isinstance(route, str) or len(route) > _LONGEST_ROUTE:
        raise invalid_argument("route", "expected the beginning of a path template: /v1/books")
    if isinstance(slow_s, bool) or not isinstance(slow_s, int | float) or not 0 <= slow_s < 1e6:
        raise invalid_argument("slow_s", "expected seconds, 0 or more")
    if not isinstance(only_failures, bool):
        raise invalid_argument("only_failures", "expected true or false")
    return Follow(follower, _range(status), route, float(slow_s), only_failures)


def _range(status: str) -> tuple[int, int]:
    if not status:
        return 0, 999
    return int(status.replace("xx", "00")), int(status.replace("xx", "99"))
