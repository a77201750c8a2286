"""Moves API keys to their own header, from the places that a service config names for a method.

Source: google/api/system_parameter.proto, the parameter `api_key`. A key can then be in a URL, as
RFC 9700 section 4.3.2 advises against: so it is taken out before anything else sees the request,
and is in no log, no metadata, no link and no field.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.auth.authenticator import StatusError, unclear
from gateway.http.messages import HeaderFields, Request
from gateway.transcoding.transcoder import Transcoder

_ENCODED: Final = (r"%", r"\+")


@dataclass(frozen=True, slots=True)
class _Places:
    """The places in which the key of a call can be, besides its own header."""

    parameters: frozenset[str]
    headers: frozenset[bytes]
    """In lower case."""


def key_checks(usual: str | None, transcoder: Transcoder) -> Sequence[Callable[[Request], None]]:
    """Returns the check that moves keys to the `usual` header; none if they have no other place.

    It must run before the check of credentials, which rejects those in a URL.
    """
    places = _places(usual, transcoder)
    if usual is None or not places:
        return []
    names = set().union(*(one.parameters for one in places.values()))
    headers = set().union(*(one.headers for one in places.values()))
    may_name = re.compile("|".join([*_ENCODED, *map(re.escape, names)]))

    def check(request: Request) -> None:
        if not (names and may_name.search(request.query)):
            fields = request.fields
            if not any(fields.count(header) for header in headers):
                return
        method = _method_of(request, transcoder)
        if method is not None and method in places:
            _move(request, places[method], usual)

    return [check]


def _places(usual: str | None, transcoder: Transcoder) -> Mapping[str, _Places]:
    """Returns the places of keys other than `usual`, by the full names of methods."""
    if usual is None:
        return {}
    found: dict[str, _Places] = {}
    for method in dict.fromkeys(binding.method for binding in transcoder.bindings):
        given = [one for one in method.system_parameters if one.is_api_key]
        parameters = {one.url_query_parameter for one in given} - {""}
        headers = {one.http_header.lower() for one in given} - {"", usual.lower()}
        if parameters or headers:
            encoded = frozenset(name.encode() for name in headers)
            found[method.full_name] = _Places(frozenset(parameters), encoded)
    return found


def _method_of(request: Request, transcoder: Transcoder) -> str | None:
    """Returns the method that a request is for; None if there is none, which is refused later."""
    with suppress(StatusError):
        if request.wants_websocket:
            match = transcoder.preferred(request.path, lambda one: one.method.streams)
        else:
            match = transcoder.find(request.method, request.path)
        if match is not None:
            return match.target.method.full_name
    form = None
    if request.method == "POST":
        form = transcoder.match_posted_form(request.path, request.fields.content_type)
    return None if form is None else form.target.method.full_name


def _move(request: Request, places: _Places, header: str) -> None:
    """Moves the key of a request to its header.

    Raises:
        StatusError: INVALID_ARGUMENT for two keys, or a value that can be none.
    """
    found: list[str] = []
    query: list[str] = []
    for piece in request.query.split("&"):
        name, _, value = piece.partition("=")
        if unquote_plus(name) in places.parameters:
            found.append(unquote_plus(value))
        else:
            query.append(piece)
    raw: list[tuple[bytes, bytes]] = []
    for name_and_value in request.fields.raw:
        if name_and_value[0].lower() in places.headers:
            found.append(name_and_value[1].decode("latin-1"))
        else:
            raw.append(name_and_value)
    if not found:
        return
    request.query = "&".join(query)
    headers = CIMultiDict(request.headers)
    for one in places.headers:
        headers.popall(one.decode(), None)
    is_doubled = len(found) > 1 or header in headers
    key = found[0]
    is_possible = bool(key) and key.isascii() and key.isprintable()
    if is_possible and not is_doubled:
        headers[header] = key
        raw.append((header.lower().encode(), key.encode()))
    # A new instance: other requests of the connection share the old one.
    request.fields = HeaderFields(CIMultiDictProxy(headers), raw)
    if is_doubled:
        raise unclear("the API key was sent twice; expected it once")
    if not is_possible:
        raise unclear("the API key is empty, or has characters that no key has")
