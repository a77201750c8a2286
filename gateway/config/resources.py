"""Settings of resource conventions: what the gateway does for methods of a known shape (AIPs)."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from gateway.config.sections import Section


class UpdateMask(StrEnum):
    """The treatment of an update without a mask."""

    INFER = "infer"
    LEAVE = "leave"


class OutputOnly(StrEnum):
    """The treatment of fields in requests that only the service sets."""

    DROP = "drop"
    REJECT = "reject"
    LEAVE = "leave"


class Immutable(StrEnum):
    """The treatment of masks that name a field which never changes."""

    REJECT = "reject"
    LEAVE = "leave"


class InputOnly(StrEnum):
    """The treatment of fields in replies that only clients set."""

    LEAVE = "leave"
    DROP = "drop"


class RequestId(StrEnum):
    """The source of the request id of a call without one."""

    KEY = "key"
    FILL = "fill"
    LEAVE = "leave"


class Etags(StrEnum):
    """The form of the etags that back ends write."""

    OFF = "off"
    QUOTED = "quoted"
    BARE = "bare"


class IfMatch(StrEnum):
    """The treatment of `If-Match` where a request has no etag."""

    FORWARD = "forward"
    REFUSE = "refuse"


class Operations(StrEnum):
    """The answer to a call that began a long-running operation."""

    UNCHANGED = "unchanged"
    ACCEPTED = "accepted"


class ResourceOptions(Section):
    """Conventions for resources, as google.aip.dev describes them."""

    system_parameters: bool = False
    """Read `$alt`, `$fields`, `$prettyPrint` and the like as Google's services do, with and without
    `$`, instead of as fields (cloud.google.com/apis/docs/system-parameters)."""
    update_mask: UpdateMask = UpdateMask.INFER
    """A PATCH without `update_mask` whose body is one field of the request (AIP-134): infer the
    mask from the members of the body, or leave it unset."""
    output_only: OutputOnly = OutputOnly.DROP
    """A request that sets a field with `field_behavior` OUTPUT_ONLY (AIP-203): drop the value,
    reject the request, or leave the value to the back end."""
    immutable: Immutable = Immutable.REJECT
    """A PATCH whose `update_mask` names a field with `field_behavior` IMMUTABLE (AIP-203): reject
    it, or leave it to the back end, which may compare the value. An inferred mask is left."""
    input_only: InputOnly = InputOnly.LEAVE
    """A reply that sets a field with `field_behavior` INPUT_ONLY (AIP-203): leave the value, or
    drop it, so that the client receives the default."""
    request_id: RequestId = RequestId.KEY
    """A change whose field `request_id` with the format UUID4 is empty (AIP-155): fill it from
    `Idempotency-Key`, if that is such a UUID; fill it always, otherwise with a new one; or leave
    it."""
    etags: Etags = Etags.OFF
    """The form of the field `etag` (AIP-154), which becomes the header `ETag` and is filled from
    `If-Match`: as in the header, with quotes; or bare, for which the header is a weak tag."""
    if_match: IfMatch = IfMatch.FORWARD
    """`If-Match` with a change whose request has no field `etag`: forward it as metadata, for a
    back end that reads it there, or refuse the request with 412, because nothing evaluates it."""
    operations: Operations = Operations.UNCHANGED
    """A reply `google.longrunning.Operation` that is not done (AIP-151): answer 200 as to any call,
    or 202 with `Operation-Location`, the path of its `GetOperation`."""
    operation_poll_s: Annotated[int, Field(ge=0)] | None = None
    """With `operations: accepted`, the `Retry-After` of 202: when to ask for the operation again,
    unless the back end sends one."""
    operation_wait_s: Annotated[int, Field(ge=0)] = 0
    """The longest time that `Prefer: wait=N` (RFC 7240) makes a call wait for the end of the
    operation that it began; 0 for none. Its deadline bounds the wait, too."""
    page_links: bool = False
    """Send `Link` with `rel="next"` for a reply with `next_page_token` (AIP-158), to GET."""

    page_size: Annotated[int, Field(gt=0, lt=1 << 31)] | None = None
    """The largest `page_size` of a list (AIP-158): a larger one is cut before the call. Unset: any
    size reaches the back end."""

    @property
    def uses_pages(self) -> bool:
        """True if something is done for lists in pages."""
        return self.page_links or self.page_size is not None

    @property
    def accepts_operations(self) -> bool:
        """True if operations that have begun are answered with 202."""
        return self.operations is Operations.ACCEPTED

    @property
    def has_etags(self) -> bool:
        """True if etags of resources are entity tags of responses."""
        return self.etags is not Etags.OFF
