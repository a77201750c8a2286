"""The HTTP ring: what concerns every request, whether or not it is a call.

A request passes the gates, in order; then it is answered, by one of the gateway's own endpoints or
as a call; then the finishes add what they have to add to the response, a failure's included.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.http.header_fields import Fields
from gateway.http.messages import Request, Response

Gate = Callable[[Request], None]
"""Lets a request pass, or raises `StatusError` to refuse it. It may not wait."""
FieldsGate = Callable[[Fields], None]
"""A gate that looks at the header fields and at nothing else."""
Finish = Callable[[Request, Response], None]
"""Adds headers to a response. It may not wait and may not raise."""


@dataclass(frozen=True, slots=True)
class Ring:
    """What stands around the calls."""

    gates: Sequence[Gate] = ()
    finishes: Sequence[Finish] = ()
