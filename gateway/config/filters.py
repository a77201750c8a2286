"""Settings of filters: which requests are turned away before anything is done for them."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.config.grammar import TOKEN
from gateway.config.patterns import Pattern
from gateway.config.sections import Network, Section, Words


def _media_type(text: str) -> str:
    if not text.startswith("regex:") and (";" in text or "/" not in text):
        raise ValueError("expected a media type without parameters, such as application/json")
    return text.lower()


def _method(text: str) -> str:
    if text == "HEAD":
        raise ValueError("HEAD goes where GET goes: name GET")
    return text


HeaderName = Annotated[str, Field(pattern=rf"^{TOKEN}$"), Words("the name of a header", "X-Tenant")]
HttpMethod = Annotated[
    str,
    Field(pattern=r"^[A-Z]+$"),
    AfterValidator(_method),
    Words("an HTTP method in capitals", "GET"),
]
MediaType = Annotated[Pattern, AfterValidator(_media_type)]


class FilterRule(Section):
    """A rule that requests have to meet; in patterns `*` is any text, and `regex:` begins RE2."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9_.\-]{1,64}$"),
        Words("a name of at most 64 letters, digits and _ . -", "no-admin"),
    ]
    """What logs call it."""
    paths: tuple[Pattern, ...] = ()
    """Where it holds, as patterns; empty for every path."""
    allow_networks: tuple[Network, ...] = ()
    """Networks that clients may come from; empty for any."""
    deny_networks: tuple[Network, ...] = ()
    """Networks that clients may not come from, stronger than `allow_networks`."""
    allow_methods: tuple[HttpMethod, ...] = ()
    """HTTP methods that are served, HEAD with GET; empty for all that the path has."""
    deny_methods: tuple[HttpMethod, ...] = ()
    """HTTP methods that are not served, HEAD with GET."""
    allow_paths: tuple[Pattern, ...] = ()
    """Patterns of paths that are served; empty for all."""
    deny_paths: tuple[Pattern, ...] = ()
    """Patterns of paths that are not served, stronger than `allow_paths`."""
    require_headers: dict[HeaderName, Pattern] = Field(default_factory=dict)
    """Headers that must be there, with the pattern of their value; `*` for any."""
    forbid_headers: dict[HeaderName, Pattern] = Field(default_factory=dict)
    """Headers that must not be there with a value of this pattern; `*` for any."""
    allow_content_types: tuple[MediaType, ...] = ()
    """Media types, as patterns, that bodies may have; empty for any."""
    deny_content_types: tuple[MediaType, ...] = ()
    """Media types, as patterns, that bodies may not have."""
    allow_user_agents: tuple[Pattern, ...] = ()
    """Patterns of a User-Agent, in any case, that may call, "" for none; empty for all."""
    deny_user_agents: tuple[Pattern, ...] = ()
    """Patterns of a User-Agent, in any case, that may not call; "" for none at all."""

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        where = {"name", "paths"}
        if not any(getattr(self, name) for name in type(self).model_fields.keys() - where):
            raise ValueError(f"the rule {self.name} asks for nothing: give it something to check")
        return self
