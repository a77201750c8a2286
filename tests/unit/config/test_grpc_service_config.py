"""The JSON form of a gRPC service config: what is taken, and what refuses the whole."""

from typing import Any

import pytest

from gateway.config.grpc_service_config import read_service_config
from gateway.config.retries import HedgingPolicy, RetryCode

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
