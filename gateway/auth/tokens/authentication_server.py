"""The interface of the authentication server."""

from collections.abc import Awaitable, Callable

from gatewayapi.v1.auth_pb2 import AuthenticateRequest, AuthenticateResponse

AuthenticationServer = Callable[[AuthenticateRequest], Awaitable[AuthenticateResponse]]
"""Calls `gatewayapi.v1.AuthService.Authenticate`, or raises the `StatusError` of its failure."""
