"""The one shape of everything that knows who is calling."""

from typing import Protocol

from gateway.call import Call, Principal
from gateway.status import StartUpError


class AuthError(StartUpError):
    """Authentication cannot be set up as configured; the text says what is wrong, and where."""


class Authenticator(Protocol):
    """Makes a principal of one kind of credential."""

    async def authenticate(self, call: Call) -> Principal | None:
        """Who showed a credential of this kind; None if none was shown.

        Raises:
            StatusError: UNAUTHENTICATED for a credential that is no good; UNAVAILABLE, with a
                RetryInfo, while it cannot be checked.
        """
        ...
