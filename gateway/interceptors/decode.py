"""Reads and decodes the request, after all checks that need no body."""

from collections.abc import Awaitable
from typing import Final

from gateway.call import Call, Check, Refused, StatusError


class Decode(Check):
    """Decodes the one message of a call and proceeds with the call.

    A call whose request is not valid for its method is refused.
    """

    def check(self, call: Call) -> Awaitable[object] | None:
        """Returns None if the message is decoded."""
        try:
            message = call.message_at_hand()
        except StatusError as error:
            return Refused(error)
        return call.arrival() if message is None else None


decode: Final = Decode()
"""The stage of all methods that do not stream their request."""
