"""Options of metadata: which headers become metadata, and back."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.config.grammar import is_token
from gateway.config.sections import Section, Words


def _prefix(text: str) -> str:
    if text and not is_token(text):
        raise ValueError("expected the beginning of a header's name, such as grpc-metadata-")
    return text


Prefix = Annotated[
    str, AfterValidator(_prefix), Words("the beginning of a header's name", "grpc-metadata-")
]


def _name(text: str) -> str:
    if text and (not re.fullmatch(r"[0-9a-z_.\-]+", text) or text.endswith("-bin")):
        raise ValueError("expected a name in lower case, such as x-envoy-original-path")
    if text.startswith("grpc-"):
        raise ValueError("gRPC reserves the names that begin with grpc-")
    return text


MetadataName = Annotated[
    str, AfterValidator(_name), Words("a name of metadata in lower case", "x-envoy-original-path")
]


class MetadataOptions(Section):
    """The mapping of request headers to metadata, and of reply metadata to headers."""

    request_allow: tuple[str, ...] = ("*",)
    """Request headers to forward; `*` for all, a trailing `*` for a prefix."""
    request_deny: tuple[str, ...] = ()
    """Request headers not to forward, stronger than `request_allow`."""
    request_rename: dict[str, str] = Field(default_factory=dict)
    """Names of metadata by request header."""
    request_prefix: Prefix = ""
    """A header with this prefix becomes metadata without it, such as `grpc-metadata-`."""
    response_allow: tuple[str, ...] = ("*",)
    """Reply metadata to return as headers."""
    response_deny: tuple[str, ...] = ()
    """Reply metadata not to return, stronger than `response_allow`."""
    response_rename: dict[str, str] = Field(default_factory=dict)
    """Names of response headers by metadata name."""
    response_prefix: Prefix = ""
    """Put before the names of headers made from reply metadata, such as `grpc-metadata-`; not
    before those in `response_rename`."""
    trailer_prefix: Prefix = ""
    """The same for trailers, such as `grpc-trailer-`."""
    path_name: MetadataName = ""
    """The name of metadata in which back ends see the path and the query of the request as the
    client sent them, such as `x-envoy-original-path`; empty for none. Credentials in it are masked:
    tokens, JWTs, and the parameters `access_token`, `api_key`, `key` and `oauth_token`, unless the
    request has a field of this name. No client can set it."""
    grpc_status: bool = False
    """Send `grpc-status: 0` as a header of each successful response but streams, as Envoy does; the
    code of a failure is in its body."""
