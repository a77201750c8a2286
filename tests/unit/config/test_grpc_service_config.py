"""The JSON form of a gRPC service config: what is taken, and what refuses the whole."""

from typing import Any

import pytest

from gateway.config.grpc_service_config import read_service_config
from gateway.config.retries import HedgingPolicy, RetryCode
from gateway.config.upstreams import Upstream

RETRY = {
    "maxAttempts": 9,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", 10],
}

HEDGING = {"maxAttempts": 3, "hedgingDelay": "0.5s"}


def test_all_that_is_known_is_read() -> None:
    config = read_service_config(
        {
            "loadBalancingConfig": [{"xds_experimental": {"x": 1}}, {"round_robin": {}}],
            "methodConfig": [
                {"name": [{}], "timeout": "30s"},
                {"name": [{"service": "lib.v1.Lib"}], "waitForReady": True},
                {
                    "name": [{"service": "lib.v1.Lib", "method": "Get"}],
                    "timeout": "1.5s",
                    "retryPolicy": RETRY,
                    "maxRequestMessageBytes": 0,
                    "maxResponseMessageBytes": "1024",
                },
            ],
            "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
            "healthCheckConfig": {"serviceName": "lib"},
            "connectionScaling": {"maxConnectionsPerSubchannel": 2},
        }
    )
    assert config.upstream == {
        "balance": "round_robin",
        "health": {"service": "lib"},
        "retry_throttling": {"max_tokens": 10, "token_ratio": 0.1},
        "max_connections": 2,
    }
    exact = config.of("lib.v1.Lib", "Get")
    assert exact is not None
    assert exact.retry_policy is not None
    assert (exact.timeout_s, exact.most_request_bytes, exact.most_reply_bytes) == (1.5, 0, 1024)
    assert exact.retry_policy.max_attempts == 5, "A6: more than five count as five"
    assert list(exact.retry_policy.retryable_status_codes) == ["UNAVAILABLE", "ABORTED"]
    of_service, default = config.of("lib.v1.Lib", "List"), config.of("other.Service", "Get")
    assert of_service is not None
    assert default is not None
    assert of_service.wait_for_ready
    assert of_service.timeout_s is None, "the most exact name counts alone"
    assert default.timeout_s == 30
    assert config.ignored == ()


def test_a_hedging_policy_is_read_with_the_defaults_of_a6() -> None:
    named = {"name": [{"service": "a.B"}], "hedgingPolicy": {"maxAttempts": 9}}
    codes = ["unavailable", 10]
    all_set = {"name": [{}], "hedgingPolicy": {**HEDGING, "nonFatalStatusCodes": codes}}
    config = read_service_config({"methodConfig": [named, all_set]})
    first, second = config.of("a.B", "C"), config.of("c.D", "E")
    assert first is not None
    assert second is not None
    assert first.hedging_policy == HedgingPolicy(
        max_attempts=5, hedging_delay_s=0, non_fatal_status_codes=()
    )
    assert second.hedging_policy == HedgingPolicy(
        max_attempts=3,
        hedging_delay_s=0.5,
        non_fatal_status_codes=(RetryCode.UNAVAILABLE, RetryCode.ABORTED),
    )


def test_unknown_fields_are_ignored_and_named() -> None:
    entry = {"name": [{"service": "a.B", "extra": 1}], "new": {"deep": 1}, "timeout": None}
    config = read_service_config({"methodConfig": [entry], "later": 1})
    inner = ["methodConfig[0].name[0].extra", "methodConfig[0].new"]
    assert sorted(config.ignored) == ["later", *inner]
    assert config.of("a.C", "D") is None


def method_config(**entry: Any) -> dict[str, Any]:
    return {"methodConfig": [{"name": [{}], **entry}]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "expected an object"),
        ({"methodConfig": {}}, "methodConfig: expected a list"),
        ({"methodConfig": [1]}, r"methodConfig\[0\]: expected an object"),
        (method_config(timeout=5), r"methodConfig\[0\]\.timeout: expected a duration"),
        (method_config(timeout="-1s"), "expected a duration"),
        (method_config(waitForReady="yes"), "waitForReady: expected true or false"),
        (
            method_config(maxRequestMessageBytes=-1),
            "MessageBytes: expected a whole number",
        ),
        (method_config(maxResponseMessageBytes=1.5), "expected a whole number"),
        (method_config(maxResponseMessageBytes="nan"), "expected a whole number"),
        (method_config(hedgingPolicy={}), "hedgingPolicy.maxAttempts: expected a number"),
        (method_config(hedgingPolicy={"maxAttempts": 1}), "maxAttempts: expected a whole number"),
        (method_config(hedgingPolicy={**HEDGING, "hedgingDelay": 1}), "Delay: expected a duration"),
        (
            method_config(hedgingPolicy={**HEDGING, "nonFatalStatusCodes": ["OK"]}),
            r"nonFatalStatusCodes\[0\]: expected one of CANCELLED",
        ),
        (
            method_config(hedgingPolicy=HEDGING, retryPolicy=RETRY),
            r"methodConfig\[0\]\.hedgingPolicy: expected retryPolicy or hedgingPolicy, not both",
        ),
        (method_config(retryPolicy={**RETRY, "maxAttempts": 1}), "retryPolicy.maxAttempts"),
        (method_config(retryPolicy={**RETRY, "maxBackoff": "0s"}), "maxBackoff: expected"),
        (method_config(retryPolicy={**RETRY, "backoffMultiplier": None}), "backoffMultiplier"),
        (method_config(retryPolicy={**RETRY, "retryableStatusCodes": []}), "retryableStatusCodes"),
        (
            method_config(retryPolicy={**RETRY, "retryableStatusCodes": ["OK"]}),
            r"retryableStatusCodes\[0\]: expected one of CANCELLED",
        ),
        ({"methodConfig": [{"name": [{"method": "Get"}]}]}, "expected a service with the method"),
        (
            {"methodConfig": [{"name": [{}]}, {"name": [{"service": ""}]}]},
            r"methodConfig\[1\]\.name\[0\]: expected each name once",
        ),
        ({"loadBalancingConfig": [{"grpclb": {}}]}, "expected one of pick_first.* not grpclb"),
        ({"loadBalancingConfig": [{"a": {}, "b": {}}]}, "an object with one policy"),
        ({"loadBalancingPolicy": "grpclb"}, "loadBalancingPolicy: expected one of"),
        ({"retryThrottling": {"maxTokens": 1001, "tokenRatio": 1}}, "maxTokens: expected a whole"),
        ({"retryThrottling": {"maxTokens": 10}}, "tokenRatio: expected a number"),
        ({"healthCheckConfig": {"serviceName": 5}}, "serviceName: expected text"),
    ],
)
def test_one_bad_field_refuses_the_whole(value: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        read_service_config(value)


A50 = {
    "interval": "1s",
    "baseEjectionTime": "2s",
    "maxEjectionTime": "9s",
    "maxEjectionPercent": 50,
    "successRateEjection": {"stdevFactor": 1000, "requestVolume": 9},
    "failurePercentageEjection": {"threshold": 40, "minimumHosts": 3},
}
WEIGHTED = {
    "enableOobLoadReport": True,
    "oobReportingPeriod": "3s",
    "blackoutPeriod": "0s",
    "weightExpirationPeriod": "60s",
    "weightUpdatePeriod": "0.01s",
    "errorUtilizationPenalty": 0.5,
    "metricNamesForComputingUtilization": ["named_metrics.queue"],
}


def policy(name: str, **options: Any) -> dict[str, Any]:
    return {"loadBalancingConfig": [{"unheard_of": {"a": 1}}, {name: options}, {"later": 5}]}


@pytest.mark.parametrize(
    ("value", "settings"),
    [
        (
            policy("pick_first", shuffleAddressList=True),
            {"balance": "pick_first", "shuffle": True},
        ),
        (policy("least_request_experimental", choiceCount=99), {"balance": "least_request"}),
        (
            policy("weighted_round_robin", **WEIGHTED),
            {
                "balance": "weighted_round_robin",
                "weighted_round_robin": {
                    "enable_oob_load_report": True,
                    "oob_reporting_period_s": 3,
                    "blackout_period_s": 0,
                    "weight_expiration_period_s": 60,
                    "weight_update_period_s": 0.1,  # A58: never shorter
                    "error_utilization_penalty": 0.5,
                    "metric_names_for_computing_utilization": ["named_metrics.queue"],
                },
            },
        ),
        (
            policy("ring_hash_experimental", maxRingSize=2**20, requestHashHeader="x-tenant"),
            {
                "balance": "ring_hash",
                "max_ring_size": 4096,  # A42: never larger
                "hash": [{"by": "header", "name": "x-tenant"}],
            },
        ),
        (
            policy("outlier_detection_experimental", **A50, childPolicy=[{"round_robin": {}}]),
            {
                "balance": "round_robin",
                "outlier": {
                    "consecutive": None,
                    "interval_s": 1,
                    "base_ejection_time_s": 2,
                    "max_ejection_time_s": 9,
                    "max_ejection_percent": 50,
                    "success_rate_ejection": {"stdev_factor": 1000, "request_volume": 9},
                    "failure_percentage_ejection": {"threshold": 40, "minimum_hosts": 3},
                },
            },
        ),
        (
            policy(
                "random_subsetting_experimental",
                subsetSize=3,
                childPolicy=[
                    {"outlier_detection_experimental": {"childPolicy": [{"pick_first": None}]}}
                ],
            ),
            {"balance": "pick_first", "outlier": {"consecutive": None}, "subset_size": 3},
        ),
        ({"loadBalancingPolicy": "ROUND_ROBIN"}, {"balance": "round_robin"}),
        (
            {"loadBalancingPolicy": "PICK_FIRST", "loadBalancingConfig": []},
            {"balance": "pick_first"},
        ),
    ],
)
def test_each_policy_is_read_with_its_options(value: object, settings: dict[str, Any]) -> None:
    config = read_service_config(value)
    assert config.upstream == settings
    Upstream.model_validate({"target": "localhost:1", **settings})
    assert config.ignored == ()


def test_a_child_is_the_first_known_policy_and_unknown_options_are_named() -> None:
    children = [{"priority_experimental": {}}, {"round_robin": {"new": 1}}]
    config = read_service_config(policy("outlier_detection_experimental", childPolicy=children))
    assert config.upstream["balance"] == "round_robin"
    path = "loadBalancingConfig[1].outlier_detection_experimental"
    assert config.ignored == (f"{path}.childPolicy[1].round_robin.new",)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (policy("least_request_experimental", choiceCount=1), "choiceCount: expected a whole num"),
        (policy("pick_first", shuffleAddressList="yes"), "List: expected true or false"),
        (policy("weighted_round_robin", blackoutPeriod=5), "blackoutPeriod: expected a duration"),
        (policy("weighted_round_robin", oobReportingPeriod="0s"), "a duration above zero"),
        (policy("ring_hash_experimental", minRingSize=2**23 + 1), "minRingSize: expected a whole"),
        (policy("ring_hash_experimental", minRingSize=9, maxRingSize=5), "at most maxRingSize"),
        (policy("random_subsetting_experimental", childPolicy=[]), "subsetSize: expected a number"),
        (policy("random_subsetting_experimental", subsetSize=2), "childPolicy: expected a list"),
        (policy("outlier_detection_experimental"), "childPolicy: expected a list of policies"),
        (
            policy("outlier_detection_experimental", childPolicy=[{"grpclb": {}}]),
            "childPolicy: expected one of pick_first.*, not grpclb",
        ),
        (
            policy("outlier_detection_experimental", maxEjectionPercent=101, childPolicy=[]),
            "maxEjectionPercent: expected a whole number from 0 to 100",
        ),
        (
            policy(
                "outlier_detection_experimental",
                childPolicy=[{"outlier_detection_experimental": {}}],
            ),
            "expected another policy within outlier_detection_experimental",
        ),
        (
            policy("outlier_detection_experimental", successRateEjection={"stdevFactor": -1}),
            "successRateEjection.stdevFactor: expected a whole number",
        ),
    ],
)
def test_one_bad_option_of_a_policy_refuses_the_whole(value: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        read_service_config(value)
