"""One URL, several bodies: what caches are told of them (RFC 9110 sections 8.8.3.3 and 12.5.5)."""

import gzip
from collections.abc import AsyncIterator

import pytest

from gateway.call import Call, Metadata, Reply
from gateway.status import Code, StatusError
from tests.support.front_end import Answer, FrontEnd, get, open_front_end, post

PROTOBUF = "Accept: application/x-protobuf"
GZIP = "Accept-Encoding: gzip"
LARGE = b"\x12\xd0\x0f" + b"x" * 2000
FILE = b"\x0a\x0atext/plain\x12\xd0\x0f" + b"x" * 2000
BOTH = {"accept", "accept-encoding"}


def varies(answer: Answer) -> set[str]:
    values = [value for name, value in answer.fields if name.lower() == "vary"]
    return {one.strip().lower() for value in values for one in value.split(",")}


@pytest.fixture
async def tagged() -> AsyncIterator[FrontEnd]:
    """A front end before a back end whose message has the tag `"v1"`, and that knows it again."""

    async def answer(call: Call) -> Reply:
        metadata: Metadata = [("etag", '"v1"')]
        asked = [value for name, value in call.metadata if name == "if-none-match"]
        known = {tag.strip() for value in asked for tag in str(value).split(",")}
        if {'"v1"', 'W/"v1"', "*"} & known:
            return Reply(metadata=[*metadata, ("x-http-code", "304")])
        return Reply(FILE if call.method.name == "GetFile" else LARGE, metadata=metadata)

    async with open_front_end() as front_end:
        front_end.upstream.part = answer
        yield front_end


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(get("/v1/items/a"), 200, id="small"),
        pytest.param(get("/v1/items/a", GZIP), 200, id="small, for who takes gzip"),
        pytest.param(get("/v1/items/a", PROTOBUF), 200, id="protobuf"),
        pytest.param(get("/v1/items/a", method="HEAD"), 200, id="HEAD"),
        pytest.param(post("/v1/items", b"{}"), 200, id="POST"),
        pytest.param(get("/v1/items/a?nothing=1"), 400, id="a bad query"),
        pytest.param(get("/v1/items/a?nothing=1", PROTOBUF), 400, id="a bad query, in protobuf"),
        pytest.param(get("/v1/items/a", "Accept: image/png"), 406, id="not acceptable"),
        pytest.param(get("/nowhere"), 404, id="not found"),
        pytest.param(get("/v1/items"), 405, id="another method"),
        pytest.param(get("/v1/files/a?nothing=1"), 400, id="a failure where bytes are raw"),
    ],
)
async def test_every_answer_says_what_it_depends_on(
    front_end: FrontEnd, request_bytes: bytes, status: int
) -> None:
    answer = await front_end.ask(request_bytes)
    assert (answer.status, varies(answer)) == (status, BOTH)


async def test_a_back_ends_failure_says_so_too(front_end: FrontEnd) -> None:
    front_end.upstream.fails(StatusError(Code.NOT_FOUND, "no", metadata=[("vary", "X-Team")]))
    assert varies(await front_end.ask(get("/v1/items/a"))) == BOTH | {"x-team"}


async def test_raw_bytes_depend_on_the_coding_alone(front_end: FrontEnd) -> None:
    front_end.upstream.answers(Reply(b"\x0a\x0atext/plain\x12\x01x"))
    assert varies(await front_end.ask(get("/v1/files/a"))) == {"accept-encoding"}
    front_end.upstream.answers(Reply(b"\x0a\x09image/png\x12\x01x"))
    assert varies(await front_end.ask(get("/v1/files/a"))) == set()


async def test_without_compression_no_coding_matters() -> None:
    async with open_front_end(compression={"enabled": False}) as front_end:
        assert varies(await front_end.ask(get("/v1/items/a", GZIP))) == {"accept"}
        assert varies(await front_end.ask(get("/v1/files/a", GZIP))) == set()


@pytest.mark.parametrize(
    ("fields", "tag"),
    [
        pytest.param([], '"v1"', id="JSON"),
        pytest.param([GZIP], '"v1;gzip"', id="gzip"),
        pytest.param([PROTOBUF], '"v1;x-protobuf"', id="protobuf"),
        pytest.param([PROTOBUF, GZIP], '"v1;x-protobuf"', id="protobuf, which is not packed"),
        pytest.param(["Accept: application/protobuf"], '"v1;protobuf"', id="its other name"),
    ],
)
async def test_each_representation_has_a_tag_of_its_own(
    tagged: FrontEnd, fields: list[str], tag: str
) -> None:
    first = await tagged.ask(get("/v1/items/a", *fields))
    assert (first.status, first.headers["etag"]) == (200, tag)
    again = await tagged.ask(get("/v1/items/a", *fields, f'If-None-Match: "x", {tag}'))
    assert (again.status, again.headers["etag"]) == (304, tag)
    head = await tagged.ask(get("/v1/items/a", *fields, method="HEAD"))
    assert head.headers["etag"] == tag


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        pytest.param([PROTOBUF], '"v1"', id="JSON is there, protobuf is wanted"),
        pytest.param([], '"v1;x-protobuf"', id="protobuf is there, JSON is wanted"),
        pytest.param([], '"v1;gzip"', id="gzip is there and not taken"),
        pytest.param([PROTOBUF], '"v1;gzip", "v1;protobuf"', id="neither is it"),
        pytest.param([], '"v2"', id="another state"),
    ],
)
async def test_a_tag_of_another_representation_is_no_match(
    tagged: FrontEnd, fields: list[str], known: str
) -> None:
    answer = await tagged.ask(get("/v1/items/a", *fields, f"If-None-Match: {known}"))
    assert answer.status == 200


@pytest.mark.parametrize(
    "known", ["*", '"v1"', 'W/"v1"', '"v0;gzip", W/"v1"', '"v1" , "v2"', '"v0","v1;gzip"']
)
async def test_conditions_reach_the_back_end(tagged: FrontEnd, known: str) -> None:
    answer = await tagged.ask(get("/v1/items/a", GZIP, f"If-None-Match: {known}"))
    assert answer.status == 304


async def test_conditions_of_several_requests_are_not_mixed_up(tagged: FrontEnd) -> None:
    line = 'If-None-Match: "v1;x-protobuf"'
    async with tagged.connected() as client:
        for _ in range(3):
            assert (await client.ask(get("/v1/items/a", PROTOBUF, line))).status == 304
            assert (await client.ask(get("/v1/items/a", line))).status == 200
            assert (await client.ask(get("/v1/files/a", PROTOBUF, line))).status == 200


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ('If-Match: "v1;gzip", "v1", W/"v0;x-protobuf"', '"v1", W/"v0"'),
        ('If-None-Match: "v1;gzip"', '"v1"'),
        ("If-Match: *", "*"),
        ("If-Match: nonsense;gzip", "nonsense;gzip"),
    ],
)
async def test_a_write_is_conditional_whatever_representation_its_client_has(
    front_end: FrontEnd, condition: str, told: str
) -> None:
    await front_end.ask(post("/v1/items", b"{}", condition))
    name = condition.partition(":")[0].lower()
    assert front_end.upstream.metadata[name] == told


async def test_raw_bytes_keep_their_tag(tagged: FrontEnd) -> None:
    plain = await tagged.ask(get("/v1/files/a", PROTOBUF))
    assert plain.headers["etag"] == '"v1"'
    packed = await tagged.ask(get("/v1/files/a", GZIP))
    assert packed.headers["etag"] == '"v1;gzip"'
    assert gzip.decompress(packed.body) == b"x" * 2000


@pytest.mark.parametrize(
    ("etag", "fields", "told"),
    [
        ('W/"a"', [GZIP], 'W/"a"'),
        ('W/"a"', [PROTOBUF], 'W/"a;x-protobuf"'),
        ("bare", [PROTOBUF], "bare"),
        ('"a"', [], '"a"'),
    ],
)
async def test_weak_tags_and_what_is_no_tag(
    front_end: FrontEnd, etag: str, fields: list[str], told: str
) -> None:
    front_end.upstream.answers(Reply(LARGE, metadata=[("etag", etag)]))
    assert (await front_end.ask(get("/v1/items/a", *fields))).headers["etag"] == told
