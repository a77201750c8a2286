"""One thing for each method, and names of parameters, of the schema in use alone."""

import sys

from gateway.schema.catalog import ByMethod, Schema, build_schema
from gateway.telemetry.masking import query_names
from tests.support.front_end import PROTO
from tests.support.schema import descriptor_set


def schema() -> Schema:
    """A schema of its own, as each reload builds one."""
    return build_schema(descriptor_set(front=PROTO))


NAME = "front.v1.Front.GetItem"


def test_it_is_made_once_also_if_it_is_nothing() -> None:
    made = []
    table = ByMethod[None](lambda method: made.append(method.full_name))
    method = schema().methods[NAME]
    assert table.of(method) is None
    assert table.of(method) is None
    assert made == [NAME]


def test_nothing_is_kept_of_a_schema_that_was_replaced() -> None:
    table = ByMethod(lambda method: method.full_name)
    old, new = schema().methods[NAME], schema().methods[NAME]
    before = sys.getrefcount(old)
    assert table.of(old) == NAME
    assert sys.getrefcount(old) > before
    assert table.of(new) == NAME
    assert sys.getrefcount(old) == before


def test_shown_names_of_parameters_keep_no_schema_that_was_replaced() -> None:
    old, new = schema().methods[NAME].input, schema().methods[NAME].input
    before = sys.getrefcount(old)
    query_names("name=1", old)
    query_names("name=1", new)
    assert sys.getrefcount(old) == before
