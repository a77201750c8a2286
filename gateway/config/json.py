"""Options of JSON: reading bodies and writing replies."""

from enum import StrEnum

from gateway.config.sections import Section


class Unknown(StrEnum):
    """The treatment of a name that the schema does not have."""

    REJECT = "reject"
    IGNORE = "ignore"


class Excess(StrEnum):
    """The treatment of something that the HTTP rule leaves no place for."""

    REJECT = "reject"
    IGNORE = "ignore"


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
    pretty: bool = False
    """Indent the output, for people."""
