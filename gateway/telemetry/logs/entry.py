"""What is noted of one request, while it is answered; lines are made of it later, elsewhere."""

from typing import NamedTuple

from gateway.call import Principal
from gateway.status import Code
from gateway.transcoding.binding import Binding


class Entry(NamedTuple):
    """One request as it was: nothing is masked yet."""

    at_s: float
    request_id: str
    method: str
    path: str
    query: str
    binding: Binding | None
    status: int
    code: Code
    duration_s: float
    request_bytes: int
    response_bytes: int
    peer: str
    client: str
    user_agent: str
    traceparent: str
    principal: Principal | None
    headers: tuple[tuple[str, str], ...]
    """Those that settings say may be shown, by lower-case name."""


EntryValues = tuple[
    float,
    str,
    str,
    str,
    str,
    Binding | None,
    int,
    Code,
    float,
    int,
    int,
    str,
    str,
    str,
    str,
    Principal | None,
    tuple[tuple[str, str], ...],
]
"""An `Entry` before it has its name: a bare tuple takes a fifth of the time to make."""
