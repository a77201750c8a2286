"""The security schemes of the configured credentials, and what each method asks of its callers.

The rule for callers without a credential is that of `interceptors/authorize.py`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from gateway.config.auth import AuthOptions
from gateway.config.credentials import CredentialKind, JwtIssuer
from gateway.openapi.comments import Json
from gateway.policy.options import Method, MethodPolicy

_DISCOVERY: Final = "/.well-known/openid-configuration"
_TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105 - a path


class Security:
    """The security of an API: schemes by name, and requirements by method."""

    def __init__(
        self,
        options: AuthOptions,
        policies: Mapping[Method, MethodPolicy],
        descriptions: Mapping[str, str],
    ) -> None:
        """`descriptions` has the words for scopes, by name; those of no policy are unused."""
        scopes: set[str] = set()
        for policy in policies.values():
            scopes |= policy.scopes_all | policy.scopes_any
        described = {scope: descriptions.get(scope, "") for scope in sorted(scopes)}
        self._options = options
        self._more_keys = _more_keys(options, policies)
        self.schemes = _schemes(options, described, self._more_keys)
        """The security schemes by name, in the order of `auth.order`."""

    def admits_anyone(self, policy: MethodPolicy) -> bool:
        """True if callers need no credential."""
        if not self._options.takes_credentials:
            return True
        return policy.is_open(anonymous=self._options.anonymous)

    def requirements(self, method: Method, policy: MethodPolicy) -> list[Json]:
        """The alternatives, of which a caller must satisfy one; `{}` is no credential."""
        if not self._options.takes_credentials:
            return []
        own = {_key_name(place) for place in _key_places(method)}
        names = [one for one in self.schemes if one not in self._more_keys or one in own]
        if self.admits_anyone(policy):
            anyone: list[Json] = [{}]
            return anyone + [{name: []} for name in names]
        needed = sorted(policy.scopes_all)
        # One of `scopes_any` is enough, and a requirement needs all its scopes.
        choices = [[*needed, one] for one in sorted(policy.scopes_any - policy.scopes_all)]
        if not choices or policy.scopes_any & policy.scopes_all:
            choices = [needed]
        return [{name: scopes} for name in names for scopes in choices]


def _more_keys(options: AuthOptions, methods: Iterable[Method]) -> dict[str, Json]:
    """The schemes of the places that a service config names for the API keys of these methods."""
    if not options.takes_keys:
        return {}
    own = "header", options.keys.header.lower()
    places = dict.fromkeys(place for method in methods for place in _key_places(method))
    return {
        _key_name(place): {"type": "apiKey", "in": place[0], "name": place[1]}
        for place in places
        if (place[0], place[1].lower()) != own
    }


def _key_places(method: Method) -> Iterator[tuple[str, str]]:
    """Yields the places of a method's API key in a service config, in the words of OpenAPI."""
    for one in method.system_parameters:
        if one.is_api_key:
            places = (("query", one.url_query_parameter), ("header", one.http_header))
            yield from [place for place in places if place[1]]


def _key_name(place: tuple[str, str]) -> str:
    """The name of a scheme; it must be of these characters (OpenAPI, Components Object)."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", f"key-{place[0]}-{place[1]}")


def _schemes(
    options: AuthOptions, scopes: Mapping[str, str], more_keys: Mapping[str, Json]
) -> dict[str, Json]:
    if not options.takes_credentials:
        return {}
    found: dict[str, Json] = {}
    for kind in options.order:
        if kind is CredentialKind.TOKEN and options.store is not None:
            found["token"] = _tokens(options, scopes)
        elif kind is CredentialKind.KEY and options.takes_keys:
            found["key"] = {"type": "apiKey", "in": "header", "name": options.keys.header}
            found |= more_keys
        elif kind is CredentialKind.JWT and options.takes_jwts:
            found["jwt"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            found |= _discovered(options.jwt.issuers)
        elif kind is CredentialKind.CERTIFICATE and options.takes_certificates:
            found["certificate"] = {"type": "mutualTLS"}
    return found


def _discovered(issuers: Iterable[JwtIssuer]) -> dict[str, Json]:
    """A scheme for each issuer whose OpenID configuration says where its JWTs are issued."""
    found: dict[str, Json] = {}
    for issuer in issuers:
        if issuer.is_discovered:
            name = f"openid_{len(found) + 1}" if found else "openid"
            url = issuer.issuer.rstrip("/") + _DISCOVERY
            found[name] = {"type": "openIdConnect", "openIdConnectUrl": url}
    return found


def _tokens(options: AuthOptions, scopes: Mapping[str, str]) -> Json:
    """The scheme of the gateway's own tokens: OAuth 2.0 if the gateway issues them to clients."""
    if options.tokens.auth_upstream is None:
        return {"type": "http", "scheme": "bearer"}
    flow: Json = {
        "tokenUrl": _TOKEN_PATH,
        "refreshUrl": _TOKEN_PATH,
        "scopes": dict(scopes),
    }
    flows: Json = {"clientCredentials": flow}
    if options.tokens.allow_password:
        flows["password"] = flow
    return {"type": "oauth2", "flows": flows}
