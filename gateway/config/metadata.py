"""Options of metadata: which headers become metadata, and back."""

from pydantic import Field

from gateway.config.sections import Section


class MetadataOptions(Section):
    """The mapping of request headers to metadata, and of reply metadata to headers."""

    request_allow: tuple[str, ...] = ("*",)
    """Request headers to forward; `*` for all, a trailing `*` for a prefix."""
    request_deny: tuple[str, ...] = ()
    """Request headers not to forward, stronger than `request_allow`."""
    request_rename: dict[str, str] = Field(default_factory=dict)
    """Names of metadata by request header."""
    response_allow: tuple[str, ...] = ("*",)
    """Reply metadata to return as headers."""
    response_deny: tuple[str, ...] = ()
    """Reply metadata not to return, stronger than `response_allow`."""
    response_rename: dict[str, str] = Field(default_factory=dict)
    """Names of response headers by metadata name."""
