"""The token endpoints: RFC 6749 (issue), 7009 (revoke), 7662 (introspect), 8414 (metadata)."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway.auth.names import MalformedError, check_name
from gateway.auth.tokens.authentication_server import AuthenticationServer
from gateway.auth.tokens.login_throttle import LoginAttempt, LoginThrottle, TooManyAttemptsError
from gateway.auth.tokens.tokens import Grant, InvalidTokenError, Issued, Tokens
from gateway.config.auth import TokenOptions
from gateway.config.grammar import AUTHORITY
from gateway.endpoints.oauth.form import (
    Form,
    OAuthError,
    body_error,
    parse_clients,
    read_form,
    refuse_two_authorizations,
    requested_scopes,
    valid_scopes,
)
from gateway.http.messages import Code, Endpoints, Request, Response, StatusError
from gateway.stores.base import StoreUnavailableError, TokenKind, TokenRecord
from gatewayapi.v1.auth_pb2 import (
    AuthenticateRequest,
    AuthenticateResponse,
    Client,
    ClientCheck,
    Password,
    Renewal,
)

TOKEN, REVOKE, INTROSPECT = "/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"
TOKEN_PATHS = frozenset({TOKEN, REVOKE, INTROSPECT})
"""The paths whose errors have the format of RFC 6749, including errors of request checks."""
METADATA = "/.well-known/oauth-authorization-server"
JWK_SET = "/.well-known/jwks.json"

_NOT_KEPT = [("Cache-Control", "no-store"), ("Pragma", "no-cache")]
_ANYTHING: frozenset[str] = frozenset()
_HOST = re.compile(AUTHORITY)

_Handler = Callable[[Form, Client, str], Awaitable[Mapping[str, object]]]


def publish_jwk_set(jwk_set: Mapping[str, object]) -> Endpoints:
    """The endpoint with the keys that verify identity assertions (RFC 7517 section 5)."""
    body = json.dumps(jwk_set).encode()

    async def endpoint(_: Request) -> Response:
        headers = [("Cache-Control", "public, max-age=300")]
        return Response(200, headers, body, "application/jwk-set+json")

    return {JWK_SET: {"GET": endpoint}}


class _Names(NamedTuple):
    """The names whose secrets a request may be a guess of."""

    clients: tuple[str, ...]
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenEndpoints:
    """Issues tokens to clients that the authentication server accepts."""

    options: TokenOptions
    server: AuthenticationServer
    tokens: Tokens
    attempts: LoginThrottle
    scheme: str = "http"
    """The scheme of the URLs in the metadata, where no issuer is set."""

    @property
    def endpoints(self) -> Endpoints:
        """The endpoints by path and method."""
        # RFC 8414 section 3.1: the path of an issuer is appended to the well-known one. It is empty
        # if a proxy removes it or no issuer is set.
        path = urlsplit(self.options.issuer or "").path.rstrip("/")
        return {
            TOKEN: {"POST": self._guarded(self._token)},
            REVOKE: {"POST": self._guarded(self._revoke)},
            INTROSPECT: {"POST": self._guarded(self._introspect)},
            **{where: {"GET": self._metadata} for where in (METADATA, METADATA + path)},
        }

    def _guarded(self, answer: _Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                refuse_two_authorizations(request.fields)
                form = await read_form(request)
                clients = parse_clients(request.headers, form)
                names = self._names(form, clients)
                async with self.attempts.attempt(
                    [*names.clients, *names.users], request.client
                ) as attempt:
                    asked = _by_either(answer, form, clients, request.client)
                    body = await _counted(asked, attempt, names)
            except OAuthError as error:
                return error.response
            except StatusError as error:
                return body_error(error).response
            except InvalidTokenError as error:
                return OAuthError("invalid_grant", str(error)).response
            except TooManyAttemptsError as error:
                return _too_many(error).response
            except StoreUnavailableError:
                return _unavailable().response
            return Response(200, list(_NOT_KEPT), json.dumps(body).encode(), "application/json")

        return endpoint

    def _names(self, form: Form, clients: Sequence[Client]) -> "_Names":
        names = _Names(tuple(dict.fromkeys(f"client:{client.id}" for client in clients)))
        if self.options.allow_password and form.get("grant_type") == "password":
            names = _Names(names.clients, (f"user:{form['username']}",))
        return names

    async def _token(self, form: Form, client: Client, peer: str) -> Mapping[str, object]:
        match form.get("grant_type"):
            case "client_credentials":
                issued = await self._issue(form, AuthenticateRequest(client=client), peer)
            case "password" if self.options.allow_password:
                password = Password(username=form["username"], password=form["password"])
                asked = AuthenticateRequest(client=client, password=password)
                issued = await self._issue(form, asked, peer)
            case "refresh_token":
                issued = await self._renew(form, client, peer)
            case None:
                raise OAuthError("invalid_request", "grant_type is missing")
            case _:
                raise OAuthError("unsupported_grant_type", "this grant type is not served")
        return _issued(issued)

    async def _issue(self, form: Form, asked: AuthenticateRequest, peer: str) -> Issued:
        wanted = requested_scopes(form)
        answer = await self._ask(asked, wanted, peer)
        granted = _granted(answer, wanted)
        return await self.tokens.issue(self._grant(answer, asked.client.id, granted, granted))

    async def _renew(self, form: Form, client: Client, peer: str) -> Issued:
        text, wanted = form["refresh_token"], requested_scopes(form)
        record = await self.tokens.find_refresh(text)
        if record is None or record.client != client.id:
            # The fault of a token is reported to authenticated clients only.
            await self._check_client(client, peer)
            if record is None:
                raise await self.tokens.refusal(text)
            raise OAuthError("invalid_grant", "the refresh token was issued to another client")
        asked = AuthenticateRequest(client=client, renewal=Renewal(principal=record.principal))
        answer = await self._ask(asked, record.scopes, peer)
        if answer.principal != record.principal:
            raise OAuthError("invalid_grant", "the owner of the token is no longer known")
        # RFC 6749 section 6: a client may request fewer scopes than were granted, never more, and
        # the scopes of this request do not narrow those of the next.
        renewable = valid_scopes(answer.granted_scopes) & record.scopes
        if not wanted <= renewable:
            raise OAuthError("invalid_scope", "a requested scope was not granted")
        grant = self._grant(answer, client.id, wanted or renewable, renewable)
        return await self.tokens.renew(text, record, grant)

    async def _ask(
        self, asked: AuthenticateRequest, wanted: frozenset[str], peer: str
    ) -> AuthenticateResponse:
        asked.requested_scopes.extend(sorted(wanted))
        asked.peer = peer
        try:
            return await self.server(asked)
        except StatusError as error:
            raise _refused(error) from None

    async def _check_client(self, client: Client, peer: str) -> None:
        asked = AuthenticateRequest(client=client, client_check=ClientCheck())
        await self._ask(asked, _ANYTHING, peer)

    def _grant(
        self,
        answer: AuthenticateResponse,
        client_id: str,
        scopes: frozenset[str],
        renewable: frozenset[str],
    ) -> Grant:
        try:
            check_name("principal", answer.principal)
        except MalformedError:
            # An empty or malformed name: back ends could take it for another principal's.
            raise _unavailable() from None
        options = self.options
        ttl = answer.time_to_live
        ttl_s = ttl.seconds + ttl.nanos / 1e9
        return Grant(
            answer.principal,
            client_id,
            scopes,
            min(ttl_s if ttl_s > 0 else options.access_ttl_s, options.max_access_ttl_s),
            dict(answer.claims),
            options.refresh_ttl_s if answer.refreshable else None,
            renewable,
        )

    async def _revoke(self, form: Form, client: Client, peer: str) -> Mapping[str, object]:
        """Revokes a token; an invalid token is not an error (RFC 7009 section 2.2)."""
        await self._check_client(client, peer)
        record = await self.tokens.find(form["token"])
        if record is not None and record.client == client.id:
            await self.tokens.revoke(record)
        return {}

    async def _introspect(self, form: Form, client: Client, peer: str) -> Mapping[str, object]:
        """Describes a token; inactive if invalid or another client's (RFC 7662 section 2.2)."""
        await self._check_client(client, peer)
        record = await self.tokens.find(form["token"])
        if record is None or client.id not in (record.client, *self.options.introspectors):
            return {"active": False}
        return _introspected(record)

    async def _metadata(self, request: Request) -> Response:
        host = request.headers.get("Host", "")
        asked = host if _HOST.fullmatch(host) else "localhost"
        issuer = self.options.issuer or f"{self.scheme}://{asked}"
        base = issuer.rstrip("/")
        authentication = ["client_secret_basic", "client_secret_post"]
        grants = ["client_credentials", "refresh_token"]
        if self.options.allow_password:
            grants.append("password")
        body = {
            "issuer": issuer,
            "token_endpoint": base + TOKEN,
            "revocation_endpoint": base + REVOKE,
            "introspection_endpoint": base + INTROSPECT,
            "grant_types_supported": grants,
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": authentication,
            "revocation_endpoint_auth_methods_supported": authentication,
            "introspection_endpoint_auth_methods_supported": authentication,
        }
        # The Host header of this client is in it, so caches must not give it to others.
        headers = [("Cache-Control", "no-store")]
        return Response(200, headers, json.dumps(body).encode(), "application/json")


async def _by_either(
    answer: _Handler, form: Form, clients: Sequence[Client], peer: str
) -> Mapping[str, object]:
    """The answer to the first of these clients that authenticates.

    All are tried in order, one by one, so the time of a refusal depends only on what was sent, not
    on the right credentials.
    """
    *others, last = clients
    for client in others:
        try:
            return await answer(form, client, peer)
        except OAuthError as error:
            if error.error != "invalid_client":
                raise
    return await answer(form, last, peer)


async def _counted(
    answer: Awaitable[Mapping[str, object]], attempt: LoginAttempt, names: _Names
) -> Mapping[str, object]:
    """The answer; counts a failure that may be a wrong guess.

    An invalid refresh token is not counted: 256 bits cannot be guessed, and a client whose users'
    tokens have expired guesses nothing.
    """
    wrong: Sequence[str] = ()
    try:
        return await answer
    except OAuthError as error:
        if error.error == "invalid_client":
            wrong = names.clients
        elif error.error == "invalid_grant":
            wrong = names.users
        refusal = error
    for name in wrong:
        await attempt.fail(name, refusal.error)
    raise refusal


def _granted(answer: AuthenticateResponse, wanted: frozenset[str]) -> frozenset[str]:
    """The scopes that are both granted and wanted; all granted ones if none is wanted."""
    granted = valid_scopes(answer.granted_scopes)
    if wanted and not granted & wanted:
        raise OAuthError("invalid_scope", "none of these scopes can be granted")
    return granted & wanted if wanted else granted


def _issued(issued: Issued) -> dict[str, object]:
    """The body of a token response (RFC 6749 section 5.1)."""
    body: dict[str, object] = {
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": int(issued.expires_in_s),
        "scope": " ".join(sorted(issued.scopes)),
    }
    if issued.refresh_token is not None:
        body["refresh_token"] = issued.refresh_token
    return body


def _introspected(record: TokenRecord) -> dict[str, object]:
    kind = "Bearer" if record.kind is TokenKind.ACCESS else "refresh_token"
    return {
        "active": True,
        "scope": " ".join(sorted(record.scopes)),
        "client_id": record.client,
        "username": record.principal,
        "sub": record.principal,
        "token_type": kind,
        "iat": int(record.issued_at_s),
        "exp": int(record.expires_at_s),
    }


def _refused(error: StatusError) -> OAuthError:
    """Maps the authentication server's error to one for the client (RFC 6749 section 5.2)."""
    match error.code:
        case Code.UNAUTHENTICATED:
            return OAuthError("invalid_client", "client authentication failed", http_status=401)
        case Code.INVALID_ARGUMENT:
            return OAuthError("invalid_grant", "these credentials are invalid")
        case Code.PERMISSION_DENIED:
            return OAuthError("unauthorized_client", "this client may not request this")
        case _:
            return _unavailable()


def _too_many(error: TooManyAttemptsError) -> OAuthError:
    """The error for too many attempts; its code comes from RFC 8628 section 3.5."""
    headers = [("Retry-After", str(error.retry_after_s))]
    return OAuthError("slow_down", str(error), http_status=429, headers=headers)


def _unavailable() -> OAuthError:
    return OAuthError(
        "temporarily_unavailable",
        "credentials cannot be checked at the moment",
        http_status=503,
        headers=[("Retry-After", "1")],
    )
