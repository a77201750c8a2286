"""Checks of where credentials are; requests that share header fields share the check of them."""

import pytest

from gateway.exchange.ring.credentials import (
    credential_check,
    refuse_doubled_credentials,
    refuse_unclear_keys,
)
from gateway.http.header_fields import NO_FIELDS, HeaderFields
from gateway.http.messages import Request
from gateway.status import Code, StatusError


def test_what_has_passed_is_not_asked_again_and_what_was_refused_is() -> None:
    asked: list[HeaderFields] = []

    def refuse_b(fields: HeaderFields) -> None:
        asked.append(fields)
        if "B" in fields.by_name:
            raise StatusError(Code.INVALID_ARGUMENT, "no B here")

    check = credential_check([refuse_b])
    good, bad = HeaderFields({"A": "1"}, ()), HeaderFields({"B": "1"}, ())
    for _ in range(2):
        check(Request("GET", "/", good, ""))
        with pytest.raises(StatusError, match="no B"):
            check(Request("GET", "/", bad, ""))
    check(Request("GET", "/", HeaderFields({"A": "1"}, ()), ""))
    assert [fields.by_name for fields in asked] == [{"A": "1"}, {"B": "1"}, {"B": "1"}, {"A": "1"}]


@pytest.mark.parametrize(
    ("names", "passes"),
    [
        ((), True),
        ((b"Authorization",), True),
        ((b"Authorization", b"authorization"), False),
        ((b"Authorization", b"AUTHORIZATION", b"Accept"), False),
        ((b"Authorization", b"Authenticated"), True),
    ],
)
def test_of_two_credentials_none_is_taken(names: tuple[bytes, ...], passes: bool) -> None:
    headers = {"Authorization": "Bearer x"} if names else {}
    fields = HeaderFields(headers, [(name, b"x") for name in names])
    if passes:
        refuse_doubled_credentials(fields)
        return
    with pytest.raises(StatusError, match="twice"):
        refuse_doubled_credentials(fields)


def test_fields_remember_that_they_have_no_key() -> None:
    check = refuse_unclear_keys("X-Key")
    without, with_one = HeaderFields({}, ()), HeaderFields({"x-key": "a"}, [(b"X-Key", b"a")])
    check(without)
    check(with_one)
    assert [without.keyless, with_one.keyless] == [b"x-key", b""]


TOKEN_TEXT = "gwt_" + "a" * 49
ESCAPED = "g%77t%5F" + "a" * 48 + "%61"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        pytest.param(f"/v1/{TOKEN_TEXT}", "/v1/***", id="in the path"),
        pytest.param(f"/v1/{TOKEN_TEXT}/x/{TOKEN_TEXT}", "/v1/***/x/***", id="twice"),
        pytest.param(f"/v1/{ESCAPED}?x=%20", "/v1/***", id="escaped in the path"),
        pytest.param(f"/v1?q={TOKEN_TEXT}", "/v1", id="as any parameter"),
        pytest.param(f"/v1?q={ESCAPED}", "/v1", id="escaped as any parameter"),
        pytest.param("/v1?access_token=x", "/v1", id="by the name of RFC 6750"),
        pytest.param("/v1?a=1&access_token=", "/v1", id="further on"),
        pytest.param("/v1?a=%20&acc%65ss%5Ftoken=x", "/v1", id="with escapes in the name"),
    ],
)
def test_a_url_with_a_token_is_refused_and_forgotten(target: str, path: str) -> None:
    request = Request("GET", target, NO_FIELDS, "10.0.0.1")
    with pytest.raises(StatusError, match="URL"):
        credential_check([])(request)
    assert request.path == path


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/v1/gwt_a?x=1",
        "/v1?my_access_token=1",
        "/v1?a=access%5Ftoken",
        "/gwen?gw=gwt_",
        "/%zz?%",
    ],
)
def test_other_urls_pass(target: str) -> None:
    credential_check([])(Request("GET", target, NO_FIELDS, "10.0.0.1"))
