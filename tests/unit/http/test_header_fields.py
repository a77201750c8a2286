"""The header fields of a request, from the parser."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.http.header_fields import HeaderFields


@pytest.mark.parametrize(
    ("name", "is_plain", "may_be_conditional"),
    [
        ("Accept", True, False),
        ("authorization", False, False),
        ("If-Match", False, True),
        ("if-none-match", False, True),
        ("If-Modified-Since", False, True),
        ("IF-UNMODIFIED-SINCE", False, True),
    ],
)
def test_plain_fields_have_no_condition_and_no_credential(
    name: str, is_plain: bool, may_be_conditional: bool
) -> None:
    by_name = CIMultiDictProxy(CIMultiDict([("Host", "a"), (name, "b")]))
    fields = HeaderFields(by_name, ((b"Host", b"a"), (name.encode(), b"b")))
    assert (fields.is_plain, fields.may_be_conditional) == (is_plain, may_be_conditional)
