"""Settings of `balance: ring_hash`: what of a call decides the endpoint that it goes to."""

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from gateway.config.grammar import TOKEN
from gateway.config.sections import Section, Words

_TOKEN = re.compile(TOKEN)
"""The name of a header or a cookie (RFC 9110 section 5.6.2, RFC 6265 section 4.1.1)."""
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*){0,9}")
"""The path of a field, through at most nine messages."""


class HashBy(StrEnum):
    """The part of a call that is hashed."""

    PRINCIPAL = "principal"
    HEADER = "header"
    COOKIE = "cookie"
    ADDRESS = "address"
    FIELD = "field"


_EXAMPLES = {HashBy.HEADER: "x-tenant", HashBy.COOKIE: "session", HashBy.FIELD: "book.name"}
"""A name for each kind that needs one."""


class HashSource(Section):
    """One part of a call that decides its endpoint; calls without it are decided by the others."""

    by: HashBy
    """principal (the caller's name, never the credential), header, cookie, address (the client's),
    or field (of the request message)."""
    name: str = ""
    """The name of the header or the cookie, or the path of the field, such as `book.name`."""
    terminal: bool = False
    """If this part is there, ignore those after it (gRFC A42)."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        example = _EXAMPLES.get(self.by)
        if example is None:
            if self.name:
                raise ValueError(f"name: {self.by} has no name; remove it")
        elif not (_PATH if self.by is HashBy.FIELD else _TOKEN).fullmatch(self.name):
            raise ValueError(f"name: expected the name of the {self.by}, such as {example}")
        elif self.by is HashBy.HEADER and self.name.lower().endswith("-bin"):
            raise ValueError("name: headers that end in -bin are not hashed (gRFC A42)")
        return self


def _several(value: object) -> object:
    return [value] if isinstance(value, dict) else value


HashSources = Annotated[
    tuple[HashSource, ...],
    BeforeValidator(_several),
    Field(max_length=10),
    Words("a part of calls, or a list of them", "{by: header, name: x-tenant}"),
]
"""The parts of a call that decide its endpoint, in order; a single one needs no list."""

HashBalanceFactor = Annotated[int, Field(ge=100, le=1_000_000)]
RingSize = Annotated[int, Field(ge=64, le=65_536)]
