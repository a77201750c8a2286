"""Settings of resource conventions: what the gateway does for methods of a known shape (AIPs)."""

from enum import StrEnum

from gateway.config.sections import Section


class UpdateMask(StrEnum):
    """The treatment of an update without a mask."""

    INFER = "infer"
    LEAVE = "leave"


class ResourceOptions(Section):
    """Conventions for resources, as google.aip.dev describes them."""

    system_parameters: bool = False
    """Read `$alt`, `$fields`, `$prettyPrint` and the like as Google's services do, with and without
    `$`, instead of as fields (cloud.google.com/apis/docs/system-parameters)."""
    update_mask: UpdateMask = UpdateMask.INFER
    """A PATCH without `update_mask` whose body is one field of the request (AIP-134): infer the
    mask from the members of the body, or leave it unset."""
