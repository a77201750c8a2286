"""What becomes of grpc-status-details-bin."""

import pytest
from google.protobuf import any_pb2, wrappers_pb2
from google.rpc import status_pb2

from gateway.status import Code
from gateway.upstream.channels.failures import DETAILS, backend_error


def packed(text: str) -> any_pb2.Any:
    detail = any_pb2.Any()
    detail.Pack(wrappers_pb2.StringValue(value=text))
    return detail


def test_details_are_kept_packed_and_in_order() -> None:
    status = status_pb2.Status(code=5, message="m", details=[packed("one"), packed("two")])
    error = backend_error(5, "m", [], [(DETAILS, status.SerializeToString())])
    assert list(error.details) == [packed("one"), packed("two")]


def test_a_detail_of_an_unknown_type_is_kept() -> None:
    detail = any_pb2.Any(type_url="example.org/secret.v1.Thing", value=b"\xff\x00")
    status = status_pb2.Status(code=5, details=[detail])
    assert list(backend_error(5, "", [], [(DETAILS, status.SerializeToString())]).details) == [
        detail
    ]


def test_the_status_of_the_trailers_counts_where_the_details_disagree() -> None:
    status = status_pb2.Status(code=13, message="inner", details=[packed("why")])
    error = backend_error(5, "outer", [], [(DETAILS, status.SerializeToString())])
    assert (error.code, error.message) == (Code.NOT_FOUND, "outer")
    assert list(error.details) == [packed("why")]


@pytest.mark.parametrize(
    ("code", "words", "told"),
    [
        (4, "Deadline Exceeded", "the call did not finish in time"),
        (4, "context deadline exceeded", "the call did not finish in time"),
        (4, "Deadline%20exceeded", "the call did not finish in time"),
        (4, "the loan is overdue", "the loan is overdue"),
        (9, "Deadline Exceeded", "Deadline Exceeded"),
    ],
)
def test_a_librarys_words_for_a_deadline_become_ours(code: int, words: str, told: str) -> None:
    assert backend_error(code, words, [], []).message == told


def test_details_that_are_no_status_are_kept_whole() -> None:
    error = backend_error(5, "gone", [], [(DETAILS, b"\xff\xff")])
    assert (error.code, error.message) == (Code.NOT_FOUND, "gone")
    assert list(error.details) == [
        any_pb2.Any(type_url="type.googleapis.com/google.rpc.Status", value=b"\xff\xff")
    ]


def test_without_details_there_are_none() -> None:
    assert list(backend_error(5, "gone", [], [("x-a", "1")]).details) == []


def test_metadata_and_other_trailers_stay_with_the_error() -> None:
    status = status_pb2.Status(code=5).SerializeToString()
    error = backend_error(5, "", [("x-a", "1")], [("x-b", "2"), (DETAILS, status), ("x-b", "3")])
    assert list(error.metadata) == [("x-a", "1")]
    assert list(error.trailers) == [("x-b", "2"), ("x-b", "3")]


@pytest.mark.parametrize("number", [-1, 17, 99])
def test_a_number_that_is_no_code_is_unknown(number: int) -> None:
    error = backend_error(number, "odd", [], [])
    assert (error.code, error.message, error.http_status) == (Code.UNKNOWN, "odd", 500)
