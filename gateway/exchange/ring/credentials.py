"""Where in a request an API key may be: in its header, once, and beside no other credential."""

from gateway.auth.refusals import unclear
from gateway.exchange.ring.ring import FieldsGate
from gateway.http.header_fields import Fields


def refuse_unclear_keys(header: str) -> FieldsGate:
    """A gate: of two credentials some would believe the one and some the other.

    RFC 6750 section 2 says the same of tokens.
    """
    name = header.lower().encode()

    def gate(fields: Fields) -> None:
        if header not in fields.by_name:
            return
        if [raw.lower() for raw, _ in fields.raw].count(name) > 1:
            raise unclear(f"the {header} header is there twice")
        if "Authorization" in fields.by_name:
            raise unclear(f"expected {header} or Authorization, and not both")

    return gate
