"""Client certificates as credentials; the TLS layer has already verified them."""

import time
from collections.abc import Callable, Sequence

from gateway.auth.authenticator import MUST_ASK, Challenge, MustAsk
from gateway.auth.names import MalformedError, check_name
from gateway.call import Call, Certificate, Code, Principal, StatusError
from gateway.config.credentials import CertificateOptions, NameSource

_MOST = 10_000
_SPIFFE = "spiffe://"
# RFC 9110 section 15.5.2 requires a challenge, and no scheme for certificates is registered.
_CHALLENGE = Challenge("ClientCertificate", "a client certificate")


class CertificateAuthenticator:
    """Maps client certificates to principals."""

    kind = "certificate"
    challenge = _CHALLENGE

    def __init__(self, options: CertificateOptions, clock: Callable[[], float] = time.time) -> None:
        self._options = options
        self._clock = clock
        # A connection has one certificate for all its calls.
        self._known: dict[Certificate, Principal] = {}

    def recall(self, call: Call, _: str | None) -> Principal | MustAsk | None:
        """The principal of the certificate, if cached; see `Authenticator.recall`."""
        certificate = call.certificate
        if certificate is None:
            return None
        known = self._known.get(certificate)
        return MUST_ASK if known is None or certificate.expires_at_s <= self._clock() else known

    async def authenticate(self, call: Call) -> Principal | None:
        """The principal of the certificate; see `Authenticator.authenticate`."""
        certificate = call.certificate
        if certificate is None:
            return None
        if certificate.expires_at_s <= self._clock():
            # It was valid when the connection was opened.
            raise _refusal("the client certificate has expired")
        return self._known.get(certificate) or self._learn(certificate)

    def _learn(self, certificate: Certificate) -> Principal:
        if len(self._known) >= _MOST:
            self._known.clear()
        principal = self._known[certificate] = self._principal(certificate)
        return principal

    def _principal(self, certificate: Certificate) -> Principal:
        name = self._name(certificate)
        if name is None:
            wanted = ", ".join(self._options.principal)
            raise _refusal(f"the client certificate has no name of these kinds: {wanted}")
        full_name = self._options.prefix + name
        try:
            check_name("name", name)  # checked without the prefix, which could hide an empty name
            check_name("principal", full_name)
        except MalformedError:
            raise _refusal("the name in the client certificate is not a valid name") from None
        scopes = frozenset(
            scope
            for pattern, granted in self._options.scopes.items()
            if _matches(pattern, name)
            for scope in granted
        )
        return Principal(
            full_name, scopes, kind="certificate", credential=certificate.fingerprint[:16]
        )

    def _name(self, certificate: Certificate) -> str | None:
        for source in self._options.principal:
            found = _names(certificate, source)
            if found:
                # Of several common names the most specific counts (RFC 6125 section 6.4.4), which
                # is the last: directories put `CN=Users` before the user's.
                return found[-1] if source is NameSource.CN else found[0]
        return None


def _names(certificate: Certificate, source: NameSource) -> Sequence[str]:
    kind = NameSource.URI if source is NameSource.SPIFFE else source
    found = [name for of, name in certificate.names if of == kind]
    if source is NameSource.SPIFFE:
        # SPIFFE X.509-SVID section 2: a certificate with more than one URI is not an SVID.
        return found if len(found) == 1 and found[0].startswith(_SPIFFE) else ()
    # A wildcard matches many hosts, so it identifies none of them.
    return [name for name in found if "*" not in name]


def _matches(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _refusal(message: str) -> StatusError:
    return StatusError(
        Code.UNAUTHENTICATED, message, headers=[("WWW-Authenticate", _CHALLENGE.scheme)]
    )
