"""The authentication server, as the token endpoint sees it."""

from collections.abc import Awaitable, Callable

from gatewayapi.v1.auth_pb2 import AuthenticateRequest, AuthenticateResponse

AuthenticationServer = Callable[[AuthenticateRequest], Awaitable[AuthenticateResponse]]
"""Answers `gatewayapi.v1.AuthService.Authenticate`, or raises the `StatusError` it failed with."""
