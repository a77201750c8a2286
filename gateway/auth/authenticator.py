"""The interface of all authenticators."""

from enum import Enum
from typing import Protocol

from gateway.auth.refusals import Challenge
from gateway.call import Call, Principal
from gateway.status import StartUpError


class AuthError(StartUpError):
    """Authentication cannot be set up as configured; the message says what is wrong, and where."""


class MustAsk(Enum):
    """The result of `recall` if a credential was sent that only `authenticate` can check."""

    MUST_ASK = True


MUST_ASK = MustAsk.MUST_ASK


class Authenticator(Protocol):
    """Maps credentials of one kind to principals."""

    @property
    def kind(self) -> str:
        """The kind of credential, for the metrics and the audit trail."""
        ...

    @property
    def challenge(self) -> Challenge:
        """The challenge that asks clients for this kind of credential."""
        ...

    def recall(self, call: Call) -> Principal | MustAsk | None:
        """Like `authenticate`, from memory: answers without waiting, as most calls need.

        Returns MUST_ASK if that needs a wait, or if the credential may be invalid; raises nothing.
        """
        ...

    async def authenticate(self, call: Call) -> Principal | None:
        """Returns the principal of the call's credential, or None without one of this kind.

        Raises:
            StatusError: UNAUTHENTICATED for an invalid credential; UNAVAILABLE, with a
                RetryInfo, while it cannot be checked.
        """
        ...
