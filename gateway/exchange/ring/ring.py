"""The HTTP ring: what concerns every request, whether or not it is a call.

A request passes the checks, in order; then it is answered, by one of the gateway's own endpoints or
as a call; then the hooks add what they have to add to the response, a failure's included.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.http.header_fields import HeaderFields
from gateway.http.messages import Request, Response

RequestCheck = Callable[[Request], None]
"""Lets a request pass, or raises `StatusError` to refuse it. It may not wait."""
HeaderCheck = Callable[[HeaderFields], None]
"""A gate that looks at the header fields and at nothing else."""
ResponseHook = Callable[[Request, Response], None]
"""Adds headers to a response. It may not wait and may not raise."""


@dataclass(frozen=True, slots=True)
class Ring:
    """What stands around the calls."""

    checks: Sequence[RequestCheck] = ()
    hooks: Sequence[ResponseHook] = ()
