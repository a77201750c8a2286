"""The rules of transcoding as rows of data: each through the pure transcoder and over HTTP.

A row of the .toml files here has HTTP rules for the methods of conformance.proto, a request, and
what must come of it: a message at a method, or a status. See docs/conformance.md.
"""

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from gateway.schema.catalog import Schema, build_schema
from gateway.schema.service_config import read_service_config
from gateway.status import StatusError
from gateway.transcoding.binding import bind, build_router
from gateway.transcoding.transcoder import RulesError, Transcoder, build_transcoder
from tests.conformance.recording import HERE, SERVICE, Case, Recorder, backend, files, pool
from tests.support.embedded import raw_connection
from tests.support.http import Answer

OF_TIME = {f"streams.{name}" for name in ("head_after_s", "heartbeat_s", "retry_s")}
"""Settings that change when something is sent; `tests/integration/streams` has tests of them."""
Serve = Callable[[Config], AbstractAsyncContextManager[str]]
"""Serves a gateway with these settings; yields `host:port`."""


def cases(kind: str, files: str = "*.toml") -> list[Any]:
    """The rows of one kind in these files, each with its file's and its own name."""
    found = []
    for file in sorted(HERE.glob(files)):
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
        common = tables.get("common", {}).get("options", {})
        for row in tables.get(kind, []):
            row["options"] = {**common, **row.get("options", {})}
            name = f"{file.stem}: {row['rule']}: {row.get('is', '')}".rstrip(": ")
            found.append(pytest.param(row, id=name, marks=_marks(row)))
    return found


def _marks(row: Case) -> list[pytest.MarkDecorator]:
    """A row with `differs` must fail: it says what another gateway does and this one does not."""
    reason = row.get("differs")
    return [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True)]


def rules_yaml(case: Case) -> str:
    """The rules of a row as a service config; `"METHOD template"` is short for no options."""
    rules = []
    for method, written in case["rules"].items():
        first, *more = [_rule(one) for one in (written if isinstance(written, list) else [written])]
        rules.append({"selector": f"{SERVICE}.{method}", **first, "additional_bindings": more})
    http: dict[str, Any] = {"rules": rules}
    if case.get("fully_decode"):
        http["fully_decode_reserved_expansion"] = True
    config = {"type": "google.api.Service", "http": http}
    if "parameters" in case:
        config["system_parameters"] = {
            "rules": [{"selector": "*", "parameters": case["parameters"]}]
        }
    return yaml.safe_dump(config)


def _rule(written: str | dict[str, Any]) -> dict[str, Any]:
    options = {} if isinstance(written, str) else dict(written)
    http_method, template = (written if isinstance(written, str) else options.pop("rule")).split()
    if http_method in ("GET", "PUT", "POST", "DELETE", "PATCH"):
        return {http_method.lower(): template, **options}
    return {"custom": {"kind": http_method, "path": template}, **options}


def schema_of(case: Case, place: Path) -> Schema:
    path = place / "rules.yaml"
    path.write_text(rules_yaml(case))
    rules = read_service_config(path)
    return build_schema(files(), overrides=rules.http, system_parameters=rules.system_parameters)


def message_of(method: str, document: str, *, of_input: bool) -> Message:
    descriptor = pool().FindServiceByName(SERVICE).methods_by_name[method]
    kind = descriptor.input_type if of_input else descriptor.output_type
    return json_format.Parse(document, GetMessageClass(kind)(), descriptor_pool=pool())


def split(case: Case) -> tuple[str, str, str]:
    http_method, target = case["request"].split(" ", 1)
    path, _, query = target.partition("?")
    return http_method, path, query


def body_of(case: Case) -> bytes:
    text: str = case.get("body", "")
    if "body_hex" in case:
        return bytes.fromhex(case["body_hex"])
    times: int = case.get("body_times", 1)
    return (text * times).encode()


def header_of(case: Case, name: str) -> str | None:
    return cast("str | None", case.get("headers", {}).get(name))


def settings_of(case: Case) -> Config:
    return Config.model_validate(case.get("options", {}))


# --- requests, through the pure transcoder -----------------------------------------------------


@pytest.mark.parametrize("case", cases("request"))
def test_a_request_becomes_a_message_or_a_status(case: Case, tmp_path: Path) -> None:
    transcoder = build_transcoder(settings_of(case), schema_of(case, tmp_path))
    try:
        method, wire = _transcode(transcoder, case)
    except StatusError as error:
        _expect_refusal(case, error.http_status, error.message)
        return
    assert "status" not in case, f"went to {method}"
    assert method == case["method"]
    expected = message_of(method, case["message"], of_input=True)
    assert type(expected).FromString(wire) == expected


def _transcode(transcoder: Transcoder, case: Case) -> tuple[str, bytes]:
    http_method, path, query = split(case)
    match = transcoder.match(http_method, path)
    transcoder.encoder(match, header_of(case, "Accept"))
    body = body_of(case)
    wire = transcoder.decode(match, query, header_of(case, "Content-Type"), body)
    return match.target.method.name, wire


def _expect_refusal(case: Case, status: int, message: str) -> None:
    assert status == case.get("status"), message
    assert case.get("says", "") in message


# --- requests and replies, over HTTP -----------------------------------------------------------


@asynccontextmanager
async def own_gateway(config: Config) -> AsyncIterator[str]:
    """A gateway with its own listener; yields its address."""
    async with open_gateway(config) as gateway:
        yield gateway.address


async def exchange(case: Case, place: Path, serve: Serve = own_gateway) -> tuple[Answer, Recorder]:
    """One request of a row, sent as it stands to a gateway over a real back end."""
    (place / "rules.yaml").write_text(rules_yaml(case))
    (place / "set.binpb").write_bytes(files().SerializeToString())
    async with backend() as (address, recorder):
        recorder.case = case
        if "reply" in case:
            method = case.get("method", "First")
            message = message_of(method, case["reply"], of_input=False)
            recorder.reply = message.SerializeToString()
        if "replies" in case:
            kinds = [message_of(case["method"], one, of_input=False) for one in case["replies"]]
            recorder.replies = [message.SerializeToString() for message in kinds]
        if "reply_hex" in case:
            recorder.reply = bytes.fromhex(case["reply_hex"])
        settings = {
            "listen": "127.0.0.1:0",
            "descriptors": [place / "set.binpb"],
            "service_config": [place / "rules.yaml"],
            "upstreams": {"backend": {"target": address}},
            "log": {"access": "off"},
            **case.get("options", {}),
        }
        async with (
            serve(Config.model_validate(settings)) as served,
            raw_connection(served) as client,
        ):
            http_method, target = case["request"].split(" ", 1)
            body = body_of(case)
            headers = {"Host": "conformance", **case.get("headers", {})}
            if body or http_method in ("POST", "PUT", "PATCH"):
                headers["Content-Length"] = str(len(body))
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            await client.send(f"{http_method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body)
            return await client.answer(head_only=http_method == "HEAD"), recorder


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("request"))
async def test_the_same_over_http(case: Case, tmp_path: Path) -> None:
    answer, recorder = await exchange(case, tmp_path)
    if "status" in case:
        assert recorder.got is None, "a refused request reaches no back end"
        error = answer.json() if answer.body else {}
        message = error.get("error", error).get("message", "")
        _expect_refusal(case, answer.status, message)
    else:
        assert recorder.got is not None, answer.body
        method, wire = recorder.got
        assert method == case["method"]
        expected = message_of(method, case["message"], of_input=True)
        assert type(expected).FromString(wire) == expected
    _expect_headers(case, answer, recorder)


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("cut"))
async def test_a_stream_that_fails_is_cut(case: Case, tmp_path: Path) -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        await exchange(case, tmp_path)


def _expect_headers(case: Case, answer: Answer, recorder: Recorder) -> None:
    for name, value in case.get("answers", {}).items():
        assert answer.header(name) == (value or None), name
    for name, values in case.get("sees", {}).items():
        seen = [v.hex() if isinstance(v, bytes) else v for k, v in recorder.metadata if k == name]
        assert seen == values, name


# --- replies -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("reply"))
async def test_a_reply_becomes_a_response(case: Case, tmp_path: Path) -> None:
    answer, recorder = await exchange(case, tmp_path)
    if case.get("refused"):
        assert recorder.got is None, "a refused request reaches no back end"
    elif not ("replies" in case and case.get("status") == 400):  # a stream that is not read whole
        assert recorder.got is not None, answer.body
    if "messages" in case:
        expected = [message_of(case["method"], one, of_input=True) for one in case["messages"]]
        got = [
            type(one).FromString(wire)
            for one, wire in zip(expected, recorder.streamed, strict=True)
        ]
        assert got == expected
    assert answer.status == case.get("status", 200), answer.body
    if "message" in case:
        assert recorder.got is not None, answer.body
        method, wire = recorder.got
        request = message_of(method, case["message"], of_input=True)
        assert type(request).FromString(wire) == request
    if "response" in case:
        assert answer.body.decode() == case["response"]
    if "response_json" in case:
        assert answer.json() == json.loads(case["response_json"])
    if "says" in case:
        assert case["says"] in answer.body.decode()
    _expect_headers(case, answer, recorder)


# --- what the rows are about -------------------------------------------------------------------


def _paths(options: Any, place: str = "") -> Iterator[str]:
    for name, value in options.items():
        yield f"{place}{name}"
        if isinstance(value, dict):
            yield from _paths(value, f"{place}{name}.")


@pytest.mark.parametrize(
    "section", ["routing", "json", "query", "metadata", "resources", "streams"]
)
def test_every_setting_of_transcoding_has_a_row(section: str) -> None:
    kinds = ("request", "reply", "load", "cut")
    rows = [p.values[0] for kind in kinds for p in cases(kind)]
    shown = {path for row in rows for path in _paths(row["options"])}
    options = next(
        one for name, one in Config.model_fields.items() if (one.alias or name) == section
    )
    assert isinstance(options.annotation, type)
    names = {f"{section}.{name}" for name in options.annotation.model_fields}
    assert names - shown - OF_TIME == set()


# --- how much of another gateway's behaviour there is --------------------------------------------


def test_the_share_of_envoys_facts_that_hold_is_as_the_docs_say() -> None:
    rows = [p.values[0] for kind in ("request", "reply", "load") for p in cases(kind, "envoy*")]
    hold = sum("differs" not in row for row in rows)
    docs = (HERE.parents[1] / "docs" / "migrating.md").read_text(encoding="utf-8")
    assert f"{hold} of {len(rows)} facts" in docs


# --- rules that cannot be loaded ---------------------------------------------------------------


@pytest.mark.parametrize("case", cases("load"))
def test_a_rule_that_cannot_be_served_is_refused(case: Case, tmp_path: Path) -> None:
    schema = schema_of(case, tmp_path)
    bindings, diagnostics = bind(schema)
    config = settings_of(case)
    _, conflicts = build_router(bindings, on_conflict=config.routing.on_conflict)
    told = [f"{d.severity}: {d.message}" for d in (*diagnostics, *conflicts)]
    assert any(case["says"] in text for text in told), told
    if case["says"].startswith("warning"):
        build_transcoder(config, schema)
    else:
        with pytest.raises(RulesError):
            build_transcoder(config, schema)
