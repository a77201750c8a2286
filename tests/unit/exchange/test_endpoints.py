"""The registry of a listener's own endpoints: one for each HTTP method and path."""

import pytest

from gateway.exchange.endpoints import EndpointRegistry, options_answer
from gateway.http.messages import Endpoint, Request, Response
from gateway.status import Code, StatusError
from tests.support.site import make_request


def saying(text: str) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return Response(200, [], f"{text} {request.method}".encode())

    return endpoint


def registry() -> EndpointRegistry:
    return EndpointRegistry(
        {"/health": {"GET": saying("health")}},
        {"/token": {"POST": saying("issued"), "DELETE": saying("revoked")}},
    )


async def answered(method: str, path: str) -> str:
    return (await registry().answer(make_request(path, method))).body.decode()


async def test_a_path_and_a_method_select_an_endpoint() -> None:
    assert await answered("GET", "/health") == "health GET"
    assert await answered("POST", "/token") == "issued POST"
    assert await answered("DELETE", "/token") == "revoked DELETE"


async def test_the_query_selects_nothing() -> None:
    assert await answered("GET", "/health?verbose=1") == "health GET"


async def test_get_answers_head_unless_head_has_an_endpoint_of_its_own() -> None:
    assert await answered("HEAD", "/health") == "health HEAD"
    own = registry()
    own.add("HEAD", "/health", saying("short"))
    assert (await own.answer(make_request("/health", "HEAD"))).body == b"short HEAD"


async def refused(method: str, path: str) -> StatusError:
    with pytest.raises(StatusError) as raised:
        await registry().answer(make_request(path, method))
    return raised.value


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/health", "GET, HEAD, OPTIONS"),
        ("GET", "/token", "DELETE, OPTIONS, POST"),
        ("HEAD", "/token", "DELETE, OPTIONS, POST"),
        ("get", "/health", "GET, HEAD, OPTIONS"),
    ],
)
async def test_another_method_is_405_and_names_those_that_are_allowed(
    method: str, path: str, allowed: str
) -> None:
    error = await refused(method, path)
    assert (error.code, error.http_status) == (Code.UNIMPLEMENTED, 405)
    assert error.headers == [("Allow", allowed)]
    assert f"allowed: {allowed}" in error.message


async def test_options_is_answered_with_the_allowed_methods_and_no_body() -> None:
    error = await refused("OPTIONS", "/token")
    assert (error.code, error.http_status) == (Code.OK, 204)
    assert error.headers == [("Allow", "DELETE, OPTIONS, POST")]


async def test_a_failure_of_an_endpoint_is_its_callers_business() -> None:
    async def failing(request: Request) -> Response:
        raise StatusError(Code.UNAVAILABLE, "later")

    with pytest.raises(StatusError, match="later"):
        await EndpointRegistry({"/x": {"GET": failing}}).answer(make_request("/x"))


def test_two_endpoints_for_one_method_and_path_are_refused_at_start_up() -> None:
    with pytest.raises(ValueError, match="two endpoints are registered for GET /health"):
        registry().add("GET", "/health", saying("again"))
    with pytest.raises(ValueError, match="GET /x"):
        EndpointRegistry({"/x": {"GET": saying("a")}}, {"/x": {"GET": saying("b")}})


def test_methods_of_two_rooms_on_one_path_stand_side_by_side() -> None:
    both = EndpointRegistry({"/x": {"GET": saying("a")}}, {"/x": {"POST": saying("b")}})
    assert both.allowed_methods("/x") == ["GET", "HEAD", "OPTIONS", "POST"]


def test_a_path_without_an_endpoint_allows_nothing() -> None:
    assert list(registry().allowed_methods("/nowhere")) == []
    assert list(EndpointRegistry().allowed_methods("/health")) == []


def test_two_registries_share_nothing() -> None:
    one, other = EndpointRegistry(), EndpointRegistry()
    one.add("GET", "/x", saying("one"))
    assert "/x" not in other.by_path


def test_options_states_methods_in_the_order_given() -> None:
    assert options_answer(["GET", "POST"]).headers == [("Allow", "GET, POST")]
