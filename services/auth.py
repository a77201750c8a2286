"""An authentication server: gatewayapi.v1.AuthService over clients and users in a file.

`python -m services.auth --hash` prompts for a secret and prints the hash for the file.
"""

import asyncio
import getpass
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import yaml
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from google.rpc import code_pb2

from gatewayapi.v1 import auth_pb2 as pb
from gatewayapi.v1 import auth_pb2_grpc as rpc
from services import serving
from services.refusal import Context, Refusal

FILE = Path(__file__).with_name("accounts.yaml")

_AT_ONCE = 2


@dataclass(frozen=True)
class Account:
    """A client or a user."""

    name: str
    secret: str = field(repr=False)
    """Its argon2 hash."""
    scopes: frozenset[str]
    claims: Mapping[str, str]
    refreshable: bool
    ttl_s: float


@dataclass(frozen=True)
class Accounts:
    """All clients and users."""

    clients: Mapping[str, Account]
    users: Mapping[str, Account]

    def find(self, principal: str) -> Account | None:
        """The client or user with a principal's name."""
        kind, _, name = principal.partition("/")
        return {"clients": self.clients, "users": self.users}.get(kind, {}).get(name)


def read_accounts(path: Path) -> Accounts:
    """Reads clients and users from a file."""
    parts: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Accounts(
        **{
            kind: {
                name: Account(
                    f"{kind}/{name}",
                    one["secret"],
                    frozenset(one.get("scopes", ())),
                    one.get("claims", {}),
                    one.get("refreshable", True),
                    one.get("ttl_s", 0),
                )
                for name, one in parts.get(kind, {}).items()
            }
            for kind in ("clients", "users")
        }
    )


class AuthService(rpc.AuthServiceServicer):
    """gatewayapi.v1.AuthService."""

    def __init__(self, accounts: Accounts, hasher: PasswordHasher) -> None:
        self._accounts = accounts
        self._hasher = hasher
        self._nobodys = _like(accounts).hash("nobody's")
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def Authenticate(
        self, request: pb.AuthenticateRequest, context: Context
    ) -> pb.AuthenticateResponse:
        """Checks credentials, and returns their owner and granted scopes."""
        client = self._accounts.clients.get(request.client.id)
        if not await self._is_right(client, request.client.secret) or client is None:
            raise Refusal(code_pb2.UNAUTHENTICATED, "the client's credentials are invalid")
        match request.WhichOneof("credentials"):
            case "password":
                user = self._accounts.users.get(request.password.username)
                if not await self._is_right(user, request.password.password):
                    user = None
            case "renewal":
                user = self._accounts.find(request.renewal.principal)
            case _:
                user = client
        if user is None:
            raise Refusal(code_pb2.INVALID_ARGUMENT, "the user's credentials are invalid")
        return _vouched(user, client, frozenset(request.requested_scopes))

    async def _is_right(self, account: Account | None, secret: str) -> bool:
        """True for the right secret; an unknown account takes as long as a wrong secret."""
        known = self._nobodys if account is None else account.secret
        async with self._turns:
            right = await asyncio.to_thread(self._verify, known, secret)
        return right and account is not None

    def _verify(self, known: str, secret: str) -> bool:
        try:
            return self._hasher.verify(known, secret)
        except (VerificationError, InvalidHashError):
            return False


def _like(accounts: Accounts) -> PasswordHasher:
    """A hasher with the accounts' parameters, so that an unknown name takes as long to check."""
    known = [*accounts.clients.values(), *accounts.users.values()]
    if not known:
        return PasswordHasher()
    return PasswordHasher.from_parameters(extract_parameters(known[0].secret))


def _vouched(user: Account, client: Account, asked: frozenset[str]) -> pb.AuthenticateResponse:
    """Grants to a user only scopes that the client may have, too."""
    granted = user.scopes & client.scopes
    answer = pb.AuthenticateResponse(
        principal=user.name,
        granted_scopes=sorted(granted & asked if asked else granted),
        claims=user.claims,
        refreshable=client.refreshable,
    )
    if user.ttl_s:
        answer.time_to_live.FromTimedelta(timedelta(seconds=user.ttl_s))
    return answer


def register(
    server: grpc.aio.Server, path: Path = FILE, hasher: PasswordHasher | None = None
) -> str:
    """Adds the service, with the accounts of a file, to a server; returns its full name."""
    service = AuthService(read_accounts(path), hasher or PasswordHasher())
    rpc.add_AuthServiceServicer_to_server(service, server)
    return pb.DESCRIPTOR.services_by_name["AuthService"].full_name


def main(arguments: list[str]) -> int:
    """Serves, or hashes a secret that is typed in, so that no shell history contains it."""
    if arguments == ["--hash"]:
        print(PasswordHasher().hash(getpass.getpass("Secret: ")))
        return 0
    return serving.main({"auth": register}, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
