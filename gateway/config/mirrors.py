"""Settings of mirrors: upstreams that get copies of calls, and whose replies are dropped."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from gateway.config.sections import Percent, Seconds, Words
from gateway.config.splits import ForMethods, UpstreamName

_CREDENTIALS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})


def _no_credential(name: str) -> str:
    if name.lower() in _CREDENTIALS:
        raise ValueError(f"{name} has credentials, which copies of calls never have")
    return name.lower()


_MetadataName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9._-]{1,100}$"),
    AfterValidator(_no_credential),
    Words("a name of metadata, without credentials", "x-request-id"),
]


class Mirror(ForMethods):
    """Copies of the calls of some methods, for an upstream whose replies are dropped."""

    to: UpstreamName
    """The name of the upstream that gets the copies."""
    percent: Percent = 100.0
    """The share of calls that are copied, by chance."""
    metadata: Annotated[tuple[_MetadataName, ...], Field(max_length=100)] = ()
    """The metadata that copies keep; all other is left out, and `x-mirror: 1` is added."""
    max_in_flight: Annotated[int, Field(gt=0, le=10_000)] = 64
    """The largest number of copies per worker under way; more are left out."""
    timeout_s: Seconds = 5.0
    """The time limit of a copy, if the call has no shorter one."""
