"""The settings of the rules that request messages are checked against."""

from enum import StrEnum


class Validation(StrEnum):
    """The rules that a request message must obey before it is sent to its back end."""

    OFF = "off"
    PROTOVALIDATE = "protovalidate"
    ALL = "protovalidate+field_behavior"

    @property
    def is_off(self) -> bool:
        """True if messages are sent unchecked."""
        return self is Validation.OFF
