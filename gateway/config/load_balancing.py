"""Reads the load balancing policies of a gRPC service config as settings of an upstream.

The names and fields are those of grpc.service_config in grpc-proto. Of a list of policies, the
first that is known counts, and only its options are read.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from gateway.config.json_object import JsonObject, refused

_LARGEST_RING: Final = 4096
"""The largest ring: a config that asks for more gets this (gRFC A42)."""
_RING_OF_A42: Final = 8 * 1024 * 1024
_SMALLEST_RING: Final = 64
_LEAST_UPDATE_S: Final = 0.1
"""The shortest `weightUpdatePeriod`: a shorter one means this (gRFC A58)."""
_OLD: Final = {"pick_first": "pick_first", "round_robin": "round_robin"}
"""The names of `loadBalancingPolicy`, which came before lists of policies."""
Settings = dict[str, Any]


def read_load_balancing(top: JsonObject) -> Settings:
    """The settings that a service config replaces by its choice of policies; empty without one.

    Raises:
        ValueError: an option is bad, or none of the policies is known.
    """
    listed = _first_of(top, "loadBalancingConfig", frozenset())
    old = top.text("loadBalancingPolicy").lower()
    if listed is not None or not old:
        return listed or {}
    if old not in _OLD:
        where = top.at("loadBalancingPolicy")
        raise refused(where, f"expected one of {', '.join(_OLD)}, not {old}")
    return {"balance": old}


def _first_of(parent: JsonObject, field: str, around: frozenset[str]) -> Settings | None:
    """The settings of the first known policy of a list; None if the list is empty or absent.

    `around` are the policies of which this one is a child: none may be its own.
    """
    chosen: tuple[str, JsonObject] | None = None
    asked: list[str] = []
    for one, where in parent.items(field):
        policy = JsonObject(one, where, parent.ignored)
        if not isinstance(one, Mapping) or len(one) != 1:
            raise refused(where, "expected an object with one policy")
        (name,) = map(str, one)
        asked.append(name)
        if chosen is None and name in _READERS:
            options = policy.inner(name) or JsonObject({}, policy.at(name), parent.ignored)
            chosen = name, options
    if chosen is None:
        if asked:
            known = ", ".join(_READERS)
            raise refused(parent.at(field), f"expected one of {known}, not {', '.join(asked)}")
        return None
    name, options = chosen
    if name in around:
        raise refused(options.path, f"expected another policy within {name}")
    found = dict(_READERS[name](options))
    if name in _WITH_CHILD:
        child = _first_of(options, "childPolicy", around | {name})
        if child is None:
            raise refused(options.at("childPolicy"), "expected a list of policies")
        found = child | found
    options.end()
    return found


def _pick_first(options: JsonObject) -> Iterator[tuple[str, Any]]:
    yield "balance", "pick_first"
    if options.flag("shuffleAddressList"):
        yield "shuffle", True


def _round_robin(_options: JsonObject) -> Iterator[tuple[str, Any]]:
    yield "balance", "round_robin"


def _least_request(options: JsonObject) -> Iterator[tuple[str, Any]]:
    # Of two, whatever it is: more would send bursts of calls to one endpoint.
    options.number("choiceCount", 2, 2**32 - 1, whole=True)
    yield "balance", "least_request"


def _weighted_round_robin(options: JsonObject) -> Iterator[tuple[str, Any]]:
    yield "balance", "weighted_round_robin"
    update_s = options.seconds("weightUpdatePeriod")
    found = {
        "enable_oob_load_report": options.flag("enableOobLoadReport") or None,
        "oob_reporting_period_s": _positive(options, "oobReportingPeriod"),
        "blackout_period_s": options.seconds("blackoutPeriod"),
        "weight_expiration_period_s": _positive(options, "weightExpirationPeriod"),
        "weight_update_period_s": None if update_s is None else max(update_s, _LEAST_UPDATE_S),
        "error_utilization_penalty": options.number("errorUtilizationPenalty", 0, 1e9),
        "metric_names_for_computing_utilization": [
            str(one) for one, _ in options.items("metricNamesForComputingUtilization")
        ] or None,
    }  # fmt: skip
    yield "weighted_round_robin", _stated(found)


def _ring_hash(options: JsonObject) -> Iterator[tuple[str, Any]]:
    yield "balance", "ring_hash"
    least = options.number("minRingSize", 1, _RING_OF_A42, whole=True)
    most = options.number("maxRingSize", 1, _RING_OF_A42, whole=True)
    if least is not None and least > (most or _LARGEST_RING):
        raise refused(options.at("minRingSize"), "expected at most maxRingSize")
    if most is not None:
        yield "max_ring_size", max(_SMALLEST_RING, min(int(most), _LARGEST_RING))
    header = options.text("requestHashHeader")
    if header:
        yield "hash", [{"by": "header", "name": header}]


def _subsetting(options: JsonObject) -> Iterator[tuple[str, Any]]:
    size = options.number("subsetSize", 1, 1000, whole=True)
    if size is None:
        raise refused(options.at("subsetSize"), "expected a number, which A68 requires")
    yield "subset_size", int(size)


def _outliers(options: JsonObject) -> Iterator[tuple[str, Any]]:
    percent = options.number("maxEjectionPercent", 0, 100, whole=True)
    found = {
        "interval_s": _positive(options, "interval"),
        "base_ejection_time_s": _positive(options, "baseEjectionTime"),
        "max_ejection_time_s": _positive(options, "maxEjectionTime"),
        "max_ejection_percent": None if percent is None else int(percent),
        "success_rate_ejection": _ejection(options, "successRateEjection", "stdevFactor", 1e6),
        "failure_percentage_ejection": _ejection(
            options, "failurePercentageEjection", "threshold", 100
        ),
    }
    yield "outlier", {"consecutive": None} | _stated(found)  # A50 knows no rows of failures


def _ejection(options: JsonObject, field: str, own: str, most: float) -> Settings | None:
    """The settings of one algorithm, whose own option is up to `most`; None without it."""
    rule = options.inner(field)
    if rule is None:
        return None
    found = {
        ("stdev_factor" if own == "stdevFactor" else own): rule.number(own, 0, most, whole=True),
        "enforcement_percentage": rule.number("enforcementPercentage", 0, 100, whole=True),
        "minimum_hosts": rule.number("minimumHosts", 1, 1e6, whole=True),
        "request_volume": rule.number("requestVolume", 1, 1e6, whole=True),
    }
    rule.end()
    return {name: int(one) for name, one in _stated(found).items()}


def _positive(options: JsonObject, field: str) -> float | None:
    value_s = options.seconds(field)
    if value_s == 0:
        raise refused(options.at(field), "expected a duration above zero")
    return value_s


def _stated(found: Mapping[str, Any]) -> Settings:
    """The settings that have a value: the others keep their defaults."""
    return {name: one for name, one in found.items() if one is not None}


_READERS: Final[Mapping[str, Callable[[JsonObject], Iterator[tuple[str, Any]]]]] = {
    "pick_first": _pick_first,
    "round_robin": _round_robin,
    "weighted_round_robin": _weighted_round_robin,
    "least_request_experimental": _least_request,
    "ring_hash_experimental": _ring_hash,
    "random_subsetting_experimental": _subsetting,
    "outlier_detection_experimental": _outliers,
}
"""The settings that each policy makes, without those of its child."""
_WITH_CHILD: Final = frozenset({"random_subsetting_experimental", "outlier_detection_experimental"})
