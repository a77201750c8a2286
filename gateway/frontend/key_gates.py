"""Where in a request an API key may be: in its header, once, and beside no other credential."""

from gateway.frontend.messages import Request
from gateway.frontend.ring import Gate
from gateway.status import invalid_argument


def refuse_unclear_keys(header: str) -> Gate:
    """A gate: of two credentials some would believe the one and some the other.

    RFC 6750 section 2 says the same of tokens.
    """
    name = header.lower().encode()

    def gate(request: Request) -> None:
        if header not in request.headers:
            return
        # By length first: of most requests that leaves one name, and nothing to compare.
        names = [raw for raw, _ in request.fields.raw if len(raw) == len(name)]
        if len(names) > 1 and [raw.lower() for raw in names].count(name) > 1:
            raise invalid_argument("", f"the {header} header is there twice")
        if "Authorization" in request.headers:
            raise invalid_argument("", f"expected {header} or Authorization, and not both")

    return gate
