"""Options of query parameters."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from gateway.config.json import Unknown
from gateway.config.sections import Section


class Clash(StrEnum):
    """The treatment of a parameter for a field that the path or the body sets."""

    REJECT = "reject"
    IGNORE = "ignore"
    MERGE = "merge"


class Plus(StrEnum):
    """The meaning of a plus sign in a query."""

    SPACE = "space"
    KEEP = "keep"


class QueryOptions(Section):
    """Options for reading query parameters."""

    unknown: Unknown | tuple[str, ...] = Unknown.REJECT
    """Parameters without a field: reject, ignore, or a list of the names to ignore."""
    clash: Clash = Clash.REJECT
    """A parameter for a field that the path or the body sets: reject with 400, ignore, or merge it
    into the body, where it adds to lists and else counts if the body leaves the field out. A
    parameter for a field of the path is then ignored."""
    plus: Plus = Plus.SPACE
    """A plus sign in a query: a space, as in HTML forms, or keep it (RFC 3986)."""
    max_parameters: Annotated[int, Field(gt=0)] = 1000
    """The largest number of parameters; more are rejected with 400."""
    maps: bool = False
    """Accept `?labels[key]=value` for maps with scalar values."""
    form_bodies: bool = False
    """Read a body of `application/x-www-form-urlencoded` as query parameters where the HTTP rule
    has no `body`; sent by POST, it may also be for a GET route."""
    numeric_bools: bool = False
    """Accept 1 and 0 for booleans."""

    @property
    def rejects_unknown(self) -> bool:
        """True if each parameter without a field is rejected."""
        return self.unknown is Unknown.REJECT

    def ignores(self, name: str) -> bool:
        """True if a parameter of this name, which no field has, is not read."""
        unknown = self.unknown
        return unknown is Unknown.IGNORE or (isinstance(unknown, tuple) and name in unknown)
