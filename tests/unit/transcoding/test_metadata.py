"""Headers become metadata and metadata becomes headers by rules that no client can bend."""

import pytest

from gateway.config.metadata import MetadataOptions
from gateway.status import Code, StatusError
from gateway.transcoding.metadata import MetadataError, MetadataRules, parse_timeout_s


def rules(**options: object) -> MetadataRules:
    return MetadataRules(MetadataOptions.model_validate(options))


def raw(*headers: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


@pytest.mark.parametrize(
    ("headers", "metadata"),
    [
        pytest.param([("X-Team", "blue")], [("x-team", "blue")], id="lower case"),
        pytest.param(
            [("A", "1"), ("B", "2"), ("a", "3")],
            [("a", "1"), ("b", "2"), ("a", "3")],
            id="repeated values in order",
        ),
        pytest.param([("Authorization", "Bearer x")], [("authorization", "Bearer x")], id="auth"),
        pytest.param([("User-Agent", "c")], [("x-forwarded-user-agent", "c")], id="user agent"),
        pytest.param([("traceparent", "00-a-b-01")], [("traceparent", "00-a-b-01")], id="trace"),
        pytest.param([("Grpc-Timeout", "1S"), ("grpc-encoding", "gzip")], [], id="reserved grpc-*"),
        pytest.param(
            [("Host", "h"), ("Content-Length", "1"), ("TE", "trailers"), ("Upgrade", "h2c")],
            [],
            id="the HTTP message's own",
        ),
        pytest.param(
            [("Connection", "close, X-Secret"), ("X-Secret", "1"), ("X-Other", "2")],
            [("x-other", "2")],
            id="named in Connection",
        ),
        pytest.param(
            [("X-Secret", "1"), ("connection", "x-secret")], [], id="named in Connection, later"
        ),
        pytest.param(
            [("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6"), ("X-Request-Id", "1")],
            [],
            id="what the front end states itself",
        ),
        pytest.param([("X-Name", "caf\xe9"), ("X-Ok", "1")], [("x-ok", "1")], id="not ASCII"),
        pytest.param([("X-Bell", "\x07")], [], id="control character"),
        pytest.param([("X!Odd", "1")], [], id="a name that metadata cannot have"),
        pytest.param([("K-Bin", "AQI=")], [("k-bin", b"\x01\x02")], id="binary, padded"),
        pytest.param([("k-bin", "AQI")], [("k-bin", b"\x01\x02")], id="binary, not padded"),
        pytest.param([("k-bin", "_-8")], [("k-bin", b"\xff\xef")], id="binary, URL-safe"),
        pytest.param(
            [("k-bin", "AQ, Ag")], [("k-bin", b"\x01"), ("k-bin", b"\x02")], id="binary, several"
        ),
        pytest.param([("k-bin", "")], [("k-bin", b"")], id="binary, empty"),
    ],
)
def test_headers_become_metadata(
    headers: list[tuple[str, str]], metadata: list[tuple[str, str | bytes]]
) -> None:
    subject = rules()
    assert subject.to_metadata(raw(*headers)) == metadata
    assert subject.to_metadata(raw(*headers)) == metadata, "a remembered name decides alike"


@pytest.mark.parametrize("value", ["!!", "A", "AQI=A", "AQ ==", "AQ==="])
def test_a_binary_header_that_is_not_base64_is_refused(value: str) -> None:
    with pytest.raises(StatusError) as raised:
        rules().to_metadata(raw(("x-data-bin", value)))
    assert raised.value.code is Code.INVALID_ARGUMENT
    assert raised.value.message.startswith("x-data-bin: expected base64")


@pytest.mark.parametrize(
    ("options", "metadata"),
    [
        pytest.param({"request_allow": ["x-a"]}, [("x-a", "1")], id="allow one"),
        pytest.param(
            {"request_allow": ["x-*"]}, [("x-a", "1"), ("x-b", "2")], id="allow by prefix"
        ),
        pytest.param({"request_deny": ["x-*"]}, [("other", "3")], id="deny is stronger"),
        pytest.param({"request_allow": []}, [], id="allow nothing"),
        pytest.param(
            {"request_rename": {"X-A": "tenant"}},
            [("tenant", "1"), ("x-b", "2"), ("other", "3")],
            id="rename",
        ),
    ],
)
def test_rules_choose_what_is_handed_on(
    options: dict[str, object], metadata: list[tuple[str, str]]
) -> None:
    headers = raw(("X-A", "1"), ("X-B", "2"), ("Other", "3"))
    assert rules(**options).to_metadata(headers) == metadata


@pytest.mark.parametrize(
    ("metadata", "headers"),
    [
        pytest.param([("x-a", "1"), ("x-a", "2")], [("x-a", "1"), ("x-a", "2")], id="in order"),
        pytest.param([("k-bin", b"\x01\x02")], [("k-bin", "AQI=")], id="binary as base64"),
        pytest.param([("x-a", "1\r\nset-cookie: b=1")], [], id="CR and LF never leave"),
        pytest.param([("x-a", "\x00")], [], id="nor any control character"),
        pytest.param([("content-type", "a"), ("transfer-encoding", "b")], [], id="framing"),
        pytest.param([("grpc-status", "0"), ("grpc-message", "x")], [], id="reserved grpc-*"),
        pytest.param([("x-http-code", "201")], [], id="the status is no header"),
        pytest.param([("location", "/v1/x")], [("location", "/v1/x")], id="location"),
        pytest.param([("set-cookie", "a=1")], [("set-cookie", "a=1")], id="cookie"),
    ],
)
def test_metadata_becomes_headers(
    metadata: list[tuple[str, str | bytes]], headers: list[tuple[str, str]]
) -> None:
    assert rules().to_headers(metadata) == headers


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"request_rename": {"X-A": "grpc-timeout"}}, "request_rename: x-a: the name grpc-timeout"),
        ({"request_rename": {"x-a": "X_Forwarded_For"}}, "the name x_forwarded_for is reserved"),
        ({"response_rename": {"x-a": "Content-Type"}}, "response_rename: x-a: the name content"),
    ],
)
def test_a_rename_to_a_reserved_name_is_refused_at_the_start(
    options: dict[str, object], says: str
) -> None:
    with pytest.raises(MetadataError, match=says):
        rules(**options)


@pytest.mark.parametrize(
    ("header", "metadata"),
    [
        ("Grpc-Metadata-Tenant", "tenant"),
        ("grpc-metadata-tenant", "tenant"),
        ("Grpc-Metadata-", None),
        ("Grpc-Metadata-Content-Type", None),
        ("Grpc-Metadata-X-Forwarded-For", None),
        ("Grpc-Metadata-Authorization", None),
        ("Grpc-Metadata-Cookie", None),
        ("Grpc-Metadata-Grpc-Timeout", None),
        ("Grpc-Timeout", None),
        ("Tenant", "tenant"),
    ],
)
def test_a_prefix_of_headers_is_removed(header: str, metadata: str | None) -> None:
    subject = rules(request_prefix="Grpc-Metadata-")
    expected = [] if metadata is None else [(metadata, "1")]
    assert subject.to_metadata(raw((header, "1"))) == expected


def test_a_prefix_is_put_before_the_names_of_headers_and_trailers() -> None:
    subject = rules(
        response_prefix="Grpc-Metadata-",
        trailer_prefix="Grpc-Trailer-",
        response_rename={"x-tag": "etag"},
    )
    metadata: list[tuple[str, str | bytes]] = [("tenant", "a"), ("x-tag", '"b"'), ("server", "c")]
    assert subject.to_headers(metadata) == [("grpc-metadata-tenant", "a"), ("etag", '"b"')]
    assert subject.to_trailers([("cost", "7")]) == [("grpc-trailer-cost", "7")]


def test_response_rules_choose_what_is_handed_back() -> None:
    subject = rules(response_deny=["x-internal-*"], response_rename={"x-tag": "etag"})
    metadata: list[tuple[str, str | bytes]] = [("x-internal-node", "7"), ("x-tag", '"a"')]
    assert subject.to_headers(metadata) == [("etag", '"a"')]


def test_many_different_names_are_not_all_remembered() -> None:
    subject = rules()
    for i in range(5000):
        assert subject.to_metadata(raw((f"x-{i}", "1"))) == [(f"x-{i}", "1")]
    assert len(subject._seen) <= 1024


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1H", 3600.0), ("2M", 120.0), ("3S", 3.0), ("500m", 0.5), ("7u", 7e-6), ("1n", 1e-9)],
)
def test_a_timeout_is_read_with_its_unit(text: str, seconds: float) -> None:
    assert parse_timeout_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "S", "1s", "-1S", "1.5S", "123456789S", "1 S", "١S"])
def test_any_other_timeout_is_refused(text: str) -> None:
    with pytest.raises(StatusError, match="grpc-timeout: expected up to 8 digits"):
        parse_timeout_s(text)
