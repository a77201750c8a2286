"""What a token endpoint takes from a client, and what it does not."""

import json
from base64 import b64encode
from collections.abc import Mapping

import pytest

from gateway.endpoints.oauth.form import (
    MOST_BYTES,
    Form,
    OAuthError,
    parse_client,
    parse_clients,
    read_form,
    requested_scopes,
)
from gateway.http.header_fields import HeaderFields
from gateway.http.messages import Request
from gateway.listeners.http1.body import WholeBody
from gateway.status import Code

FORM = "application/x-www-form-urlencoded"


def request(
    body: bytes, content_type: str = FORM, *, query: str = "", length: int | None = -1
) -> Request:
    headers = {"Content-Type": content_type}
    if length is not None:
        headers["Content-Length"] = str(len(body) if length < 0 else length)
    made = Request("POST", f"/oauth2/token{query}", HeaderFields(headers, ()), "10.0.0.1")
    made.body = WholeBody(body) if body else None
    return made


@pytest.mark.parametrize(
    ("body", "form"),
    [
        pytest.param(b"a=1&b=2", {"a": "1", "b": "2"}, id="fields"),
        pytest.param(b"a=x+y%26z", {"a": "x y&z"}, id="escapes"),
        pytest.param(b"a=%C3%BC", {"a": "ü"}, id="UTF-8"),
        pytest.param(b"a=&b=2", {"b": "2"}, id="an empty field is as if it were not there"),
        pytest.param(b"", {}, id="nothing"),
    ],
)
async def test_a_form_is_read(body: bytes, form: Mapping[str, str]) -> None:
    assert await read_form(request(body)) == form


async def test_a_form_may_come_without_its_length() -> None:
    assert await read_form(request(b"a=1", length=None)) == {"a": "1"}


async def test_twenty_parameters_are_taken() -> None:
    assert len(await read_form(request(b"&".join(b"p%d=1" % n for n in range(20))))) == 20


async def test_a_charset_makes_no_difference() -> None:
    assert await read_form(request(b"a=1", f"{FORM}; charset=utf-8")) == {"a": "1"}


@pytest.mark.parametrize(
    ("asked", "why", "status"),
    [
        pytest.param(request(b'{"a": 1}', "application/json"), "send a form", 400, id="JSON"),
        pytest.param(request(b"a=1", ""), "send a form", 400, id="no type"),
        pytest.param(request(b"a=1", query="?b=2"), "not in the URL", 400, id="a query"),
        pytest.param(request(b"a=1&a=1"), "twice", 400, id="a field twice"),
        pytest.param(request(b"a=1&a="), "twice", 400, id="a field twice, once empty"),
        pytest.param(request(b"a=1&%61=2"), "twice", 400, id="a field twice, once escaped"),
        pytest.param(request(b"a"), "well-formed", 400, id="no equals sign"),
        pytest.param(request(b"a=\xff"), "well-formed", 400, id="bytes beyond ASCII"),
        pytest.param(request(b"a=%ff"), "well-formed", 400, id="not UTF-8"),
        pytest.param(request(b"a=1&" * 30), "20 parameters", 400, id="too many fields"),
        pytest.param(request(b"a=1&"), "& with no parameter", 400, id="an & at the end"),
        pytest.param(request(b"&a=1"), "& with no parameter", 400, id="an & at the beginning"),
        pytest.param(request(b"a=1&&b=2"), "& with no parameter", 400, id="two & in a row"),
        pytest.param(
            request(b"a=" + b"1" * MOST_BYTES, length=None), "at most", 413, id="too long, unsaid"
        ),
        pytest.param(request(b"a=1", length=MOST_BYTES + 1), "at most", 413, id="too long"),
        pytest.param(
            request(b"a=" + b"1" * MOST_BYTES, length=100), "at most", 413, id="too long unpacked"
        ),
    ],
)
async def test_what_is_no_plain_form_is_refused(asked: Request, why: str, status: int) -> None:
    with pytest.raises(OAuthError, match=why) as refused:
        await read_form(asked)
    assert (refused.value.error, refused.value.http_status) == ("invalid_request", status)


def basic(text: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(text.encode()).decode()}"}


@pytest.mark.parametrize(
    ("headers", "form", "client"),
    [
        pytest.param(basic("demo:s:e"), {}, ("demo", "s:e"), id="basic"),
        pytest.param(basic("a%3Ab:%25+x"), {}, ("a:b", "% x"), id="basic is form-encoded inside"),
        pytest.param(basic("demo:"), {}, ("demo", ""), id="no secret"),
        pytest.param(basic("demo:s"), {"client_id": "demo"}, ("demo", "s"), id="named twice alike"),
        pytest.param({}, {"client_id": "d", "client_secret": "s"}, ("d", "s"), id="post"),
        pytest.param({}, {"client_id": "d"}, ("d", ""), id="a public client"),
    ],
)
def test_a_client_says_who_it_is(
    headers: dict[str, str], form: dict[str, str], client: tuple[str, str]
) -> None:
    parsed = parse_client(headers, Form(form))
    assert (parsed.id, parsed.secret) == client


@pytest.mark.parametrize(
    ("text", "form", "clients"),
    [
        pytest.param("demo:a+b", {}, [("demo", "a b"), ("demo", "a+b")], id="a plus"),
        pytest.param("demo:50%", {}, [("demo", "50%")], id="a percent sign that escapes nothing"),
        pytest.param("demo:a%2Bb", {}, [("demo", "a+b"), ("demo", "a%2Bb")], id="an escape"),
        pytest.param("a+b:s", {}, [("a b", "s"), ("a+b", "s")], id="in the name"),
        pytest.param("a+b:s", {"client_id": "a+b"}, [("a+b", "s")], id="a name that is said"),
        pytest.param("a+b:s", {"client_id": "a b"}, [("a b", "s")], id="a name that is said, too"),
        pytest.param("demo:s", {}, [("demo", "s")], id="nothing to read in two ways"),
    ],
)
def test_what_basic_carries_is_read_encoded_and_as_it_is(
    text: str, form: dict[str, str], clients: list[tuple[str, str]]
) -> None:
    parsed = parse_clients(basic(text), Form(form))
    assert [(client.id, client.secret) for client in parsed] == clients


@pytest.mark.parametrize(
    ("headers", "form", "error"),
    [
        pytest.param({}, {}, "invalid_client", id="nobody"),
        pytest.param({}, {"client_secret": "s"}, "invalid_client", id="a secret alone"),
        pytest.param(basic("d:s"), {"client_secret": "s"}, "invalid_request", id="both ways"),
        pytest.param(basic("d:s"), {"client_id": "e"}, "invalid_request", id="two names"),
        pytest.param({"Authorization": "Bearer abc"}, {}, "invalid_client", id="another scheme"),
        pytest.param({"Authorization": "Basic !!!"}, {}, "invalid_client", id="no base64"),
        pytest.param({"Authorization": "Basic /w=="}, {}, "invalid_client", id="not UTF-8"),
        pytest.param(basic("demo"), {}, "invalid_client", id="no colon"),
        pytest.param(basic(":secret"), {}, "invalid_client", id="no name"),
        pytest.param(basic("a%0d%0ab:s"), {}, "invalid_client", id="line ends"),
        pytest.param(basic("a%00:s"), {}, "invalid_client", id="a null"),
        pytest.param({}, {"client_id": "ü"}, "invalid_client", id="beyond ASCII"),
        pytest.param({}, {"client_id": "x" * 257}, "invalid_client", id="too long"),
    ],
)
def test_a_client_that_does_not_is_refused(
    headers: dict[str, str], form: dict[str, str], error: str
) -> None:
    with pytest.raises(OAuthError) as refused:
        parse_client(headers, Form(form))
    assert refused.value.error == error
    assert refused.value.http_status == (401 if error == "invalid_client" else 400)


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        pytest.param(None, set(), id="none in particular"),
        pytest.param("a", {"a"}, id="one"),
        pytest.param("b a", {"a", "b"}, id="two"),
        pytest.param("a a", {"a"}, id="one twice"),
        pytest.param("https://x/y.z", {"https://x/y.z"}, id="a URL"),
    ],
)
def test_scopes_are_parted_by_one_space(scope: str | None, scopes: set[str]) -> None:
    assert requested_scopes(Form({} if scope is None else {"scope": scope})) == scopes


@pytest.mark.parametrize("scope", [" ", " a", "a ", "a  b", "ü", 'a"b', "a\\b", "a\tb", "a" * 257])
def test_malformed_scopes_are_refused(scope: str) -> None:
    with pytest.raises(OAuthError) as refused:
        requested_scopes(Form({"scope": scope}))
    assert refused.value.error == "invalid_scope"


def test_a_field_that_is_needed_is_named() -> None:
    with pytest.raises(OAuthError, match="refresh_token is missing"):
        Form()["refresh_token"]


@pytest.mark.parametrize(
    ("status", "code", "challenged"),
    [
        (400, Code.INVALID_ARGUMENT, False),
        (401, Code.UNAUTHENTICATED, True),
        (429, Code.RESOURCE_EXHAUSTED, False),
        (503, Code.UNAVAILABLE, False),
    ],
)
def test_a_refusal_is_kept_by_nobody(status: int, code: Code, challenged: bool) -> None:
    response = OAuthError("some_error", "some reason", http_status=status).response
    assert json.loads(response.body) == {"error": "some_error", "error_description": "some reason"}
    assert (response.status, response.code) == (status, code)
    assert ("Cache-Control", "no-store") in response.headers
    assert ("WWW-Authenticate" in dict(response.headers)) is challenged
