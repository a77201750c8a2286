"""Gates over header fields: asked once for requests that share them."""

import pytest

from gateway.exchange.ring.ring import fields_gate
from gateway.http.header_fields import Fields
from gateway.http.messages import Request
from gateway.status import Code, StatusError


def test_what_has_passed_is_not_asked_again_and_what_was_refused_is() -> None:
    asked: list[Fields] = []

    def refuse_b(fields: Fields) -> None:
        asked.append(fields)
        if "B" in fields.by_name:
            raise StatusError(Code.INVALID_ARGUMENT, "no B here")

    gate = fields_gate([refuse_b])
    good, bad = Fields({"A": "1"}, ()), Fields({"B": "1"}, ())
    for _ in range(2):
        gate(Request("GET", "/", good, ""))
        with pytest.raises(StatusError, match="no B"):
            gate(Request("GET", "/", bad, ""))
    gate(Request("GET", "/", Fields({"A": "1"}, ()), ""))
    assert [fields.by_name for fields in asked] == [{"A": "1"}, {"B": "1"}, {"B": "1"}, {"A": "1"}]
