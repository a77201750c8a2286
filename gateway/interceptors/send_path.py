"""Sends the path of a request to back ends, in metadata that no client can set."""

from collections.abc import Awaitable, Container
from typing import Final
from urllib.parse import quote, unquote_plus

from gateway.call import Call, Handler, Reply
from gateway.telemetry.masking import mask_credentials

_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))
_CREDENTIALS: Final = frozenset({"access_token", "api_key", "key", "oauth_token"})
"""The parameters that carry a credential (RFC 6750 section 2.3; Google's system parameters)."""


class SendPath:
    """Adds the path and the query of a request, as the client sent them, to a call's metadata.

    No client can set metadata of this name: the rules of metadata reserve it. Back ends log it, so
    credentials in it are masked.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with a call to which its path is added."""
        path, query = call.target[1], call.query
        if not path:
            return proceed(call)  # made by the gateway for a request whose metadata it has
        if query:
            method = call.method
            fields = method.input.fields_by_name
            of_keys = [p.url_query_parameter for p in method.system_parameters if p.is_api_key]
            path += "?" + "&".join(_masked(part, fields, of_keys) for part in query.split("&"))
        # Characters that metadata cannot carry are escaped; escapes of the client stay.
        call.metadata.append((self._name, quote(mask_credentials(path), safe=_PRINTABLE)))
        return proceed(call)


def _masked(parameter: str, fields: Container[str], of_keys: Container[str]) -> str:
    """Masks the value of a parameter that carries a credential and is for none of the `fields`.

    Those `of_keys` are never for a field (system_parameter.proto).
    """
    name = parameter.partition("=")[0]
    decoded = unquote_plus(name)
    is_usual = decoded.removeprefix("$") in _CREDENTIALS and decoded not in fields
    if is_usual or decoded in of_keys:
        return f"{name}=***"
    return parameter
