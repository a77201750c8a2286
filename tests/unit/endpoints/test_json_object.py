"""The JSON object in the body of an admin request."""

import pytest

from gateway.endpoints.admin.endpoints import json_object
from gateway.listeners.http1.body import WholeBody
from gateway.status import Code, StatusError
from tests.support.site import make_request


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[1]", id="no object"),
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b'{"a":' + b"[" * 100_000, id="too deep"),
        pytest.param(b'{"a":' + b"1" * 5_000 + b"}", id="a number of very many digits"),
    ],
)
async def test_what_is_no_readable_object_is_the_clients_fault(body: bytes) -> None:
    request = make_request(method="POST")
    request.body = WholeBody(body)
    with pytest.raises(StatusError, match="expected a JSON object") as refused:
        await json_object(request)
    assert refused.value.code is Code.INVALID_ARGUMENT
