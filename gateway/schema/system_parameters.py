"""System parameters of a service config: other names for parameters that are not of the API itself.

Source: google/api/system_parameter.proto. The last rule that selects a method counts.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SystemParameter:
    """The places of one system parameter; an empty text is no place."""

    name: str
    """Without `$`, such as `alt` or `api_key`."""
    http_header: str
    url_query_parameter: str

    @property
    def is_api_key(self) -> bool:
        """True if it is the API key of a call."""
        return self.name == "api_key"


@dataclass(frozen=True, slots=True)
class SystemParameterRule:
    """The system parameters of the methods that a selector selects."""

    selector: str
    parameters: tuple[SystemParameter, ...]
    file: str
    line: int
