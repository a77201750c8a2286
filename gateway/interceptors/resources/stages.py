"""Makes the stages of the resource conventions, for the methods that have the shape for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from gateway.call import Handler, Interceptor, Method
from gateway.config.resources import (
    Etags,
    IfMatch,
    InputOnly,
    Operations,
    RequestId,
    ResourceOptions,
)
from gateway.interceptors.resources.etags import EtagFields
from gateway.interceptors.resources.if_match import refuse_if_match
from gateway.interceptors.resources.input_only import HideInputOnly
from gateway.interceptors.resources.operations import AcceptOperations, AwaitOperation, PathOf
from gateway.interceptors.resources.page_sizes import CutPageSize
from gateway.interceptors.resources.pages import PageLinks
from gateway.interceptors.resources.request_ids import FillRequestId
from gateway.schema.field_behavior import behavior
from gateway.schema.resources import (
    GET_OPERATION,
    begins_operation,
    etag_field,
    paging,
    request_etag,
    request_id_field,
)
from gateway.transcoding.unwanted_fields import remover


@dataclass(frozen=True, slots=True)
class ResourceStages:
    """The stages of one method."""

    around: Sequence[Interceptor] = ()
    """Those that see each call and each reply, also a stored one."""
    inside: Sequence[Interceptor] = ()
    """Those that see what is sent to the back end, and what it answers."""


NO_STAGES = ResourceStages()


def resource_stages(
    options: ResourceOptions,
    methods: Sequence[Method],
    path_to: Callable[[str, str], str | None],
    chains: Mapping[Method, Handler],
) -> Mapping[Method, ResourceStages]:
    """Makes the stages of each method that needs any.

    `path_to` finds the path for GET that calls a method, given its full name and a variable.
    `chains` has the chains of all methods once requests arrive.
    """
    path_of = partial(path_to, GET_OPERATION)
    wait = _wait(options, methods, path_of, chains)
    made = {
        method: ResourceStages(_around(options, method, path_of, wait), _inside(options, method))
        for method in methods
    }
    return {method: stages for method, stages in made.items() if stages.around or stages.inside}


def _wait(
    options: ResourceOptions,
    methods: Sequence[Method],
    path_of: PathOf,
    chains: Mapping[Method, Handler],
) -> Sequence[Interceptor]:
    """The stage that waits for operations, if that is set and a route shows operations."""
    get = next((one for one in methods if one.full_name == GET_OPERATION), None)
    longest_s = options.operation_wait_s
    return [AwaitOperation(path_of, longest_s, get, chains)] if get and longest_s else []


def _around(
    options: ResourceOptions, method: Method, path_of: PathOf, wait: Sequence[Interceptor]
) -> Sequence[Interceptor]:
    found: list[Interceptor] = []
    if method.streams:
        return found
    if begins_operation(method):
        if options.operations is Operations.ACCEPTED:
            found.append(AcceptOperations(path_of, options.operation_poll_s))
        found += wait
    pages = paging(method) if options.uses_pages else None
    if pages is not None and options.page_size is not None:
        found.append(CutPageSize(pages.page_size.number, options.page_size))
    if pages is not None and options.page_links:
        found.append(PageLinks(pages))
    refuses = options.if_match is IfMatch.REFUSE and not method.has_no_side_effects
    if refuses and not (options.has_etags and request_etag(method)):
        found.append(refuse_if_match)
    if options.etags is not Etags.OFF:
        request = () if method.has_no_side_effects else request_etag(method)
        reply = etag_field(method.output)
        if request or reply is not None:
            number = None if reply is None else reply.number
            found.append(EtagFields(request, number, is_bare=options.etags is Etags.BARE))
    return found


def _inside(options: ResourceOptions, method: Method) -> Sequence[Interceptor]:
    found: list[Interceptor] = []
    if options.request_id is not RequestId.LEAVE and not method.client_streaming:
        field = None if method.has_no_side_effects else request_id_field(method.input)
        if field is not None:
            makes = options.request_id is RequestId.FILL
            found.append(FillRequestId(field.number, makes=makes))
    if options.input_only is InputOnly.DROP:
        remove = remover(method.output, lambda one: behavior(one).is_input_only)
        if remove is not None:
            found.append(HideInputOnly(remove))
    return found
