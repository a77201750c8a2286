"""Options of query parameters."""

from typing import Annotated

from pydantic import Field

from gateway.config.json import Excess, Unknown
from gateway.config.sections import Section


class QueryOptions(Section):
    """Options for reading query parameters."""

    unknown: Unknown | tuple[str, ...] = Unknown.REJECT
    """Parameters without a field: reject, ignore, or a list of the names to ignore."""
    clash: Excess = Excess.REJECT
    """A parameter for a field that the path or the body sets: reject with 400, or ignore."""
    max_parameters: Annotated[int, Field(gt=0)] = 1000
    """The largest number of parameters; more are rejected with 400."""
    maps: bool = False
    """Accept `?labels[key]=value` for maps with scalar values."""
    form_bodies: bool = False
    """Read a body of `application/x-www-form-urlencoded` as query parameters where the HTTP rule
    has no `body`; sent by POST, it may also be for a GET route."""
    numeric_bools: bool = False
    """Accept 1 and 0 for booleans."""
