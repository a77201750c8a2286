"""Sets of settings with which the gateway behaves as another one does.

A set is made of ordinary settings. A setting that is given itself wins over that of the set.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from gateway.config.merging import merge


class Compat(StrEnum):
    """The gateway whose behaviour is wanted."""

    NONE = "none"
    GRPC_GATEWAY = "grpc-gateway"
    ENVOY = "envoy"
    GOOGLE = "google"


SETTINGS: Final[Mapping[Compat, Mapping[str, Any]]] = {
    Compat.NONE: {},
    # grpc-gateway v2 with the marshaler of runtime.NewServeMux.
    Compat.GRPC_GATEWAY: {
        "routing": {
            "on_conflict": "last",
            "on_error": "skip",
            "escaped_slashes": "split",
            "wrong_method": "not_implemented",
        },
        "json": {
            "unknown_fields": "ignore",
            "excess_body": "ignore",
            "text_after": "ignore",
            "content_types": ["*/*"],
            "unacceptable": "serve",
        },
        "query": {
            "unknown": "ignore",
            "clash": "ignore",
            "numeric_bools": True,
            "maps": True,
            "form_bodies": True,
        },
        "resources": {"output_only": "leave", "immutable": "leave"},
        "streams": {"wrap": "result", "raw_lines": True, "concatenated": True},
        "metadata": {
            "request_prefix": "grpc-metadata-",
            "response_prefix": "grpc-metadata-",
            "trailer_prefix": "grpc-trailer-",
        },
        "errors": "status",
    },
    # GrpcJsonTranscoder with the defaults of its message.
    Compat.ENVOY: {
        "routing": {
            "keep_escaped": "reserved",
            "verbs": "registered",
            "trailing_slashes": "ignore",
            "after_deep": "literals",
            "wrong_method": "not_found",
        },
        "json": {
            "unknown_fields": "ignore",
            "emit_unset": False,
            "excess_body": "ignore",
            "content_types": ["*/*"],
            "unacceptable": "serve",
        },
        "query": {"clash": "merge", "plus": "keep"},
        "metadata": {"path_name": "x-envoy-original-path", "grpc_status": True},
        "resources": {"update_mask": "leave", "output_only": "leave", "immutable": "leave"},
        "streams": {"format": "array", "array_failure": "cut"},
        "errors": "status",
    },
    # The services behind Google's REST clients (google-api-core). These ignore members that they do
    # not know, so they would read a last element with an error as an empty message: a cut is seen.
    Compat.GOOGLE: {
        "resources": {"system_parameters": True},
        "json": {"unknown_fields": "ignore", "excess_body": "ignore"},
        "streams": {"format": "array", "array_failure": "cut"},
    },
}
"""The settings of each set."""


def with_compat(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Adds the settings of the set that `compat` names; those that are given win.

    An unknown name adds nothing: it is refused with all other wrong values.
    """
    chosen = settings.get("compat", Compat.NONE)
    if not isinstance(chosen, str) or chosen not in list(Compat):
        return settings
    return merge(SETTINGS[Compat(chosen)], settings)
