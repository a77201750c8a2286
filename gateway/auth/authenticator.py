"""The one shape of everything that knows who is calling."""

from enum import Enum
from typing import Protocol

from gateway.auth.refusals import Challenge
from gateway.call import Call, Principal
from gateway.status import StartUpError


class AuthError(StartUpError):
    """Authentication cannot be set up as configured; the text says what is wrong, and where."""


class MustAsk(Enum):
    """That a credential was shown, and only `authenticate` can tell whose it is."""

    MUST_ASK = True


MUST_ASK = MustAsk.MUST_ASK


class Authenticator(Protocol):
    """Makes a principal of one kind of credential."""

    @property
    def challenge(self) -> Challenge:
        """How it is asked for."""
        ...

    def recall(self, call: Call) -> Principal | MustAsk | None:
        """`authenticate`, as far as no waiting is needed, which most calls save by it.

        MUST_ASK where it is, or where the credential may be no good; it raises nothing.
        """
        ...

    async def authenticate(self, call: Call) -> Principal | None:
        """Who showed a credential of this kind; None if none was shown.

        Raises:
            StatusError: UNAUTHENTICATED for a credential that is no good; UNAVAILABLE, with a
                RetryInfo, while it cannot be checked.
        """
        ...
