"""What is made of a schema is made in time with its size, however often its types are reached."""

import time

import pytest

from gateway.config.model import Config
from gateway.openapi import comments
from gateway.openapi.document import build_document
from gateway.policy.effective import effective_policies
from gateway.schema.catalog import build_schema
from gateway.status import StatusError
from gateway.telemetry.masking import query_names
from gateway.transcoding.transcoder import build_transcoder
from tests.support.schema import descriptor_set

LENGTH = 60


def _proto(last: str) -> str:
    messages = "\n".join(
        f"message M{n} {{ M{n + 1} a = 1; repeated M{n + 1} b = 2; map<string, M{n + 1}> c = 3; "
        f"oneof d {{ M{n + 1} e = 4; string s = 5; }} }}"
        for n in range(LENGTH)
    )
    return f"""
syntax = "proto3";
package chain;
import "google/api/annotations.proto";
{messages}
message M{LENGTH} {{ {last} }}
service Chain {{
  rpc Whole(M0) returns (M0) {{
    option (google.api.http) = {{post: "/v1/whole" body: "*"}};
  }}
  rpc Part(M0) returns (M0) {{
    option (google.api.http) = {{
      post: "/v1/part/{{a.a.a.s}}" body: "e" response_body: "a"
      additional_bindings {{get: "/v1/get"}}
    }};
  }}
}}
"""


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "last",
    [
        pytest.param("float f = 1; int64 i = 2;", id="a chain"),
        pytest.param("M0 again = 1; float f = 2;", id="a ring"),
    ],
)
def test_a_chain_of_messages_is_ready_at_once(last: str) -> None:
    start = time.process_time()
    schema = build_schema(descriptor_set(chain=_proto(last)))
    transcoder = build_transcoder(Config(), schema)
    deep = b'{"a":' * 55 + b'{"s":"x"}' + b"}" * 55
    for method, path in (("POST", "/v1/whole"), ("POST", "/v1/part/x"), ("GET", "/v1/get")):
        match = transcoder.match(method, path)
        body = b"" if method == "GET" else deep
        wire = transcoder.decode(match, "", "application/json", body)
        assert transcoder.encode(match, wire).body
        with pytest.raises(StatusError, match=r"no such field|takes no body"):
            transcoder.decode(match, "", "application/json", b'{"zz":1}')
        with pytest.raises(StatusError):
            transcoder.decode(match, "a.a.zz=1", None, b"")
    query_names("a.a.a.a.s=1&zz=2", schema.methods["chain.Chain.Whole"].input)
    assert time.process_time() - start < 5


def _wide(count: int) -> str:
    """A proto in which `count` methods send and receive one message with twenty fields."""
    fields = "\n".join(f"  // The field {n}.\n  string f{n} = {n};" for n in range(1, 21))
    methods = "\n".join(
        f'  rpc M{n}(Big) returns (Big) {{ option (google.api.http) = {{post: "/v1/{n}" body: "*" '
        f'additional_bindings {{put: "/v1/{n}" body: "*"}}}}; }}'
        for n in range(count)
    )
    return f"""
syntax = "proto3";
package wide;
import "google/api/annotations.proto";
message Big {{
{fields}
}}
service Wide {{
{methods}
}}
"""


def test_a_document_reads_each_comment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[str] = []
    clean = comments.clean

    def count(comment: str) -> str:
        cleaned.append(comment)
        return clean(comment)

    monkeypatch.setattr(comments, "clean", count)
    schema = build_schema(descriptor_set(wide=_wide(50)), comments=True)
    config = Config()
    bindings = build_transcoder(config, schema).bindings
    build_document(config, schema, bindings, effective_policies(schema, config.policies))
    assert len(bindings) == 100
    # Twenty fields, in the schema of requests and in that of replies.
    assert sorted(one for one in cleaned if "field" in one) == sorted(
        f" The field {n}.\n" for n in range(1, 21)
    )
