"""The settings of splits and fallbacks: what is refused, and in which words."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.model import Config
from gateway.config.splits import Split

UPSTREAMS = {"main": {"target": "127.0.0.1:1"}, "canary": {"target": "127.0.0.1:2"}}
BOTH = [{"upstream": "main", "weight": 95}, {"upstream": "canary", "weight": 5}]


def config(*splits: dict[str, Any]) -> Config:
    return Config.model_validate({"upstreams": UPSTREAMS, "splits": splits})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"to": [{"upstream": "main", "weight": 0}]}, "at least one weight greater than 0"),
        ({"to": []}, "at least 1 item"),
        ({"to": [{"upstream": "main", "weight": -1}]}, "greater than or equal to 0"),
        ({"to": [BOTH[0], BOTH[0]]}, "to[1].upstream: main is there twice"),
        ({"to": [{"upstream": "canari"}]}, "splits[0].to[0].upstream: there is no upstream canari"),
        ({"match": [{}]}, "expected one of header, cookie, principal, claim, scope"),
        (
            {"match": [{"header": "a", "cookie": "b"}]},
            "expected one of header, cookie, principal, claim, scope",
        ),
        ({"match": [{"header": "a b"}]}, "expected the name of a header or a cookie"),
        ({"match": [{"header": "a", "value": "b", "prefix": "c"}]}, "either value or prefix"),
        ({"match": [{"scope": "a", "value": "b"}]}, "scope: has neither value nor prefix"),
        ({"match": [{"network": "10.0.0.0/8", "prefix": "b"}]}, "network: has neither value nor"),
        ({"match": [{"network": "ten"}]}, "a network such as 10.0.0.0/8"),
        ({"sticky": {"by": "header"}}, "such as x-tenant"),
        ({"name": ""}, "name"),
    ],
)
def test_what_is_refused_and_why(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        config({"name": "one", "to": BOTH} | settings)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("first", "second", "is_refused"),
    [
        ({}, {}, True),
        ({"selector": "a.v1.*"}, {"selector": "a.v1.S.Get"}, True),
        ({"selector": "a.v1.S.Get"}, {"selector": "a.v1.*"}, False),
        ({"match": [{"header": "x-canary"}]}, {}, False),
    ],
)
def test_a_split_that_no_call_reaches_is_refused(
    first: dict[str, Any], second: dict[str, Any], is_refused: bool
) -> None:
    splits = [{"name": "one", "to": BOTH} | first, {"name": "two", "to": BOTH} | second]
    if not is_refused:
        assert len(config(*splits).splits) == 2
        return
    with pytest.raises(ValidationError, match=r"splits\[1\]: no call gets here, because one takes"):
        config(*splits)


def test_two_splits_have_two_names() -> None:
    one = {"name": "one", "match": [{"header": "x-canary"}], "to": BOTH}
    with pytest.raises(ValidationError, match=r"splits\[1\]\.name: one is there twice"):
        config(one, one)


@pytest.mark.parametrize(
    ("fallbacks", "words"),
    [
        ({"main": "other"}, "upstreams.main.fallback: there is no upstream other"),
        ({"main": "main"}, "upstreams.main.fallback: main -> main is a loop"),
        (
            {"main": "canary", "canary": "main"},
            "upstreams.canary.fallback: main -> canary -> main is a loop",
        ),
    ],
)
def test_a_fallback_leads_to_another_upstream(fallbacks: dict[str, str], words: str) -> None:
    upstreams = {
        name: one | ({"fallback": fallbacks[name]} if name in fallbacks else {})
        for name, one in UPSTREAMS.items()
    }
    with pytest.raises(ValidationError) as refused:
        Config.model_validate({"upstreams": upstreams})
    assert words in str(refused.value)


def test_a_split_in_words() -> None:
    split = Split.model_validate(
        {
            "name": "canary",
            "to": BOTH,
            "sticky": [{"by": "principal"}, {"by": "cookie", "name": "session"}],
            "match": [{"header": "x-tenant", "prefix": "beta-"}],
        }
    )
    assert str(split) == (
        "main 95 %, canary 5 %  (split canary, by principal and cookie session), "
        "if header x-tenant begins with 'beta-'"
    )
