"""The HTTP ring: checks and response hooks that apply to every request, call or not.

A request passes the checks, in order. Then an endpoint of the gateway or a call answers it. Then
the hooks add their headers to the response; also to an error response.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.http.messages import HeaderFields, Request, Response

__all__ = ["HeaderCheck", "HeaderFields", "Request", "RequestCheck", "ResponseHook", "Ring"]

RequestCheck = Callable[[Request], None]
"""Checks a request and raises `StatusError` to reject it. It must not wait for anything."""
HeaderCheck = Callable[[HeaderFields], None]
"""A check that reads only the header fields, so requests that share them are checked once."""


class ResponseHook(Protocol):
    """Adds headers to every response."""

    def add_headers(self, request: Request, response: Response) -> None:
        """Adds headers to a response. It must not wait for anything and must not raise."""
        ...

    @property
    def variant(self) -> Callable[[Request], str] | None:
        """Returns the part of a request that decides what is added to equal responses.

        It is one line, and empty for the usual request. None if no part decides it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Ring:
    """The checks before a request is answered, and the hooks after it."""

    checks: Sequence[RequestCheck] = ()
    hooks: Sequence[ResponseHook] = ()
    credentials: RequestCheck | None = None
    """The last check, of requests whose URL or new header fields may break the rules of these."""
    of_options: Sequence[RequestCheck] = ()
    """Those of the checks that let every request pass whose method is not OPTIONS."""

    @property
    def checks_reads(self) -> bool:
        """True if a check may refuse a GET."""
        others = [check for check in self.checks if check not in self.of_options]
        return bool(others) or self.credentials is not None
