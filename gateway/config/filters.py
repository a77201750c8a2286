"""Settings of filters: rules that reject requests before any other work."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.config.grammar import TOKEN
from gateway.config.patterns import Pattern
from gateway.config.sections import Network, Section, Words

__all__ = ["FilterRule", "HeaderName", "HttpMethod", "MediaType", "Network", "Section", "Words"]


def _media_type(text: str) -> str:
    if not text.startswith("regex:") and (";" in text or "/" not in text):
        raise ValueError("expected a media type without parameters, such as application/json")
    return text.lower()


def _method(text: str) -> str:
    if text == "HEAD":
        raise ValueError("HEAD is treated as GET: write GET")
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
    """A rule that requests must meet; in patterns `*` is any text, and `regex:` begins an RE2."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9_.\-]{1,64}$"),
        Words("a name of at most 64 letters, digits and _ . -", "no-admin"),
    ]
    """The name of the rule in logs."""
    paths: tuple[Pattern, ...] = ()
    """Patterns of the paths it applies to; empty for every path."""
    allow_networks: tuple[Network, ...] = ()
    """Networks from which clients are accepted; empty for any."""
    deny_networks: tuple[Network, ...] = ()
    """Networks from which clients are rejected, stronger than `allow_networks`."""
    allow_methods: tuple[HttpMethod, ...] = ()
    """Accepted HTTP methods, HEAD with GET; empty for all methods of the path."""
    deny_methods: tuple[HttpMethod, ...] = ()
    """Rejected HTTP methods, HEAD with GET."""
    allow_paths: tuple[Pattern, ...] = ()
    """Patterns of accepted paths; empty for all."""
    deny_paths: tuple[Pattern, ...] = ()
    """Patterns of rejected paths, stronger than `allow_paths`."""
    require_headers: dict[HeaderName, Pattern] = Field(default_factory=dict)
    """Required headers, with the pattern of their value; `*` for any value."""
    forbid_headers: dict[HeaderName, Pattern] = Field(default_factory=dict)
    """Forbidden headers, with the pattern of their value; `*` for any value."""
    allow_content_types: tuple[MediaType, ...] = ()
    """Patterns of accepted media types of bodies; empty for any."""
    deny_content_types: tuple[MediaType, ...] = ()
    """Patterns of rejected media types of bodies."""
    allow_user_agents: tuple[Pattern, ...] = ()
    """Patterns of accepted User-Agents, ignoring case; "" for a missing one; empty for all."""
    deny_user_agents: tuple[Pattern, ...] = ()
    """Patterns of rejected User-Agents, ignoring case; "" for a missing one."""

    @model_validator(mode="after")
    def _has_a_condition(self) -> Self:
        not_conditions = {"name", "paths"}
        names = type(self).model_fields.keys() - not_conditions
        if not any(getattr(self, name) for name in names):
            raise ValueError(f"the rule {self.name} checks nothing: add a condition to it")
        return self
