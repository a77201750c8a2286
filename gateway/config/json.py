"""Options of JSON: reading bodies and writing replies."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from gateway.config.sections import Section, Words


class Unknown(StrEnum):
    """The treatment of a name that the schema does not have."""

    REJECT = "reject"
    IGNORE = "ignore"


class Excess(StrEnum):
    """The treatment of something that the HTTP rule leaves no place for."""

    REJECT = "reject"
    IGNORE = "ignore"

    @property
    def is_ignored(self) -> bool:
        """True if it is not read."""
        return self is Excess.IGNORE


class EnumCase(StrEnum):
    """The comparison of the names of enum values."""

    EXACT = "exact"
    IGNORE = "ignore"


class Unacceptable(StrEnum):
    """The treatment of a client that accepts no format of its response."""

    REJECT = "reject"
    SERVE = "serve"


MediaType = Annotated[
    str,
    Field(pattern=r"^(\*/\*|[a-z0-9.+-]+/[a-z0-9.+-]+)$"),
    Words("a media type in lower case", "text/plain"),
]
"""A media type without parameters, in lower case; `*/*` stands for all."""


class JsonOptions(Section):
    """Options for reading and writing messages as JSON."""

    unknown_fields: Unknown | tuple[str, ...] = Unknown.REJECT
    """Members of a body without a field: reject, ignore (also drops unknown names of enum values),
    or a list of the names to ignore."""
    emit_unset: bool = True
    """Write fields without presence even if they have their default value."""
    enums_as_numbers: bool = False
    """Write enum values as numbers instead of names."""
    proto_names: bool = False
    """Write field names as in the .proto file instead of lowerCamelCase. Input accepts both."""
    excess_body: Excess = Excess.REJECT
    """A body for a method whose HTTP rule has no `body`: reject with 400, or ignore. Some clients
    send `{}` with every request."""
    text_after: Excess = Excess.REJECT
    """Text after the JSON value of a body: reject with 400, or ignore. This changes nothing for
    streams of requests, which may have several values."""
    content_types: tuple[MediaType, ...] = ()
    """Further media types of request bodies that are read as JSON, such as `text/plain`; `*/*` for
    every type that is not read otherwise. Pages of other origins can send `text/plain` without a
    preflight request of CORS."""
    enum_case: EnumCase = EnumCase.EXACT
    """Names of enum values in bodies, queries and paths: exact, or ignore the case of letters."""
    unacceptable: Unacceptable = Unacceptable.REJECT
    """An Accept header that allows no format of the response: reject with 406, or serve the usual
    format nevertheless (RFC 9110, section 12.5.1)."""
    pretty: bool = False
    """Indent the output, for people."""

    @property
    def ignores_enum_case(self) -> bool:
        """True if names of enum values are compared without their case."""
        return self.enum_case is EnumCase.IGNORE

    @property
    def serves_unacceptable(self) -> bool:
        """True if a client that accepts no format of its response gets the usual one."""
        return self.unacceptable is Unacceptable.SERVE
