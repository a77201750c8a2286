"""Makes entity tags of responses, and evaluates the conditions of requests against them.

Sources: RFC 9110 sections 8.8.3 (entity tags), 13.1 (conditions), 13.2.2 (their order),
15.4.5 (304) and 15.5.13 (412).
"""

import hashlib
from base64 import urlsafe_b64encode
from typing import Final

from gateway.config.grammar import http_date_s
from gateway.http.entity_tags import is_of_same_message, selects
from gateway.http.messages import Code, Request, Response, StatusError

_TAG_BYTES: Final = 12
# RFC 9110 section 15.4.5: fields that describe content are left out, except these two.
_ABOUT_CONTENT: Final = ("content-", "last-modified")
_KEPT: Final = ("content-location", "content-security-policy")


def add_tag(response: Response) -> None:
    """Gives a complete response, which has no entity tag of its back end, a strong one.

    It is a digest of the media type and the body, so that two representations never share one.
    """
    if response.status == 200 and not _header(response, "etag"):
        digest = hashlib.blake2b(response.content_type.encode(), digest_size=_TAG_BYTES)
        digest.update(b"\0")
        digest.update(response.body)
        tag = urlsafe_b64encode(digest.digest()).decode("ascii")
        response.headers.append(("ETag", f'"{tag}"'))


def under_conditions(
    request: Request, response: Response, *, is_raw: bool, is_stored: bool = False
) -> Response:
    """Returns the response to a GET or HEAD: the one that it selects, or 304 without content.

    `response` is not compressed yet, and its entity tag has no suffix. `is_raw` states that its
    bytes and their media type are unchanged from the back end. `is_stored` states that it is that
    of a stored reply: then Date stands for Last-Modified where that is absent (RFC 9111 section
    4.3.2). A reply that has just come from the back end has no time of change without it.

    Raises:
        StatusError: FAILED_PRECONDITION with HTTP status 412 if a condition is false.
    """
    if not 200 <= response.status < 300:  # RFC 9110 section 13.2.1
        return response
    get = request.fields.by_name.get
    tag = _header(response, "etag")
    modified_s = http_date_s(_header(response, "last-modified"))
    matches, unmodified_s = get("If-Match"), http_date_s(get("If-Unmodified-Since"))
    if matches is not None:
        if not is_of_same_message(matches, tag):
            raise _failed("If-Match", "names no entity tag of this resource")
    elif unmodified_s is not None and modified_s is not None and modified_s > unmodified_s:
        raise _failed("If-Unmodified-Since", "is before its last change")
    none_match = get("If-None-Match")
    if none_match is not None:
        if selects(none_match, tag, response.content_type, request.fields, is_raw=is_raw):
            return _not_modified(response)
        return response
    since_s = http_date_s(get("If-Modified-Since"))
    if modified_s is None and is_stored and not _header(response, "last-modified"):
        modified_s = http_date_s(_own_date(request))
    if since_s is not None and modified_s is not None and modified_s <= since_s:
        return _not_modified(response)
    return response


def _not_modified(response: Response) -> Response:
    headers = [
        (name, value)
        for name, value in response.headers
        if name.lower() in _KEPT or not name.lower().startswith(_ABOUT_CONTENT)
    ]
    # The media type is not sent; the suffix of the tag depends on it.
    return Response(304, headers, b"", response.content_type)


def _failed(name: str, reason: str) -> StatusError:
    return StatusError(Code.FAILED_PRECONDITION, f"the condition {name} {reason}", http_status=412)


def _own_date(request: Request) -> str:
    """Returns the Date of the stored reply to a request; empty if there is none."""
    for name, value in request.own_headers:
        if name == "Date":
            return value
    return ""


def _header(response: Response, name: str) -> str:
    for key, value in response.headers:
        if key.lower() == name:
            return value
    return ""
