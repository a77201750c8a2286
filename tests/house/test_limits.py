"""Every constant of the package that is named like a limit stands in docs/limits.md, or is none."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "gateway"
PAGE = ROOT / "docs" / "limits.md"

LIKE_A_LIMIT = re.compile(
    r"^_?(?:MAX|MOST|LONGEST|LARGEST|DEEPEST)(?:_|$)|(?:^|_)(?:LIMIT|TIMEOUT)(?:_S)?$"
    r"|_BYTES$|_LIMIT_|_MAX_|_MOST_"
)

# By reason, then by file. What is listed here bounds nothing that a peer can use up.
NO_LIMITS: Mapping[str, Mapping[str, str]] = {
    "a number of a protocol, a format or a platform": {
        "auth/keys/api_keys.py": "_ID_BYTES",
        "cache/directives.py": "MOST_S",
        "config/grpc_service_config.py": "_MOST_ATTEMPTS",
        "config/load_balancing.py": "_LARGEST_RING",
        "exchange/dialects/websocket/frames.py": "_MAX_REASON_BYTES",
        "http/conditions.py": "_TAG_BYTES",
        "http/header_fields.py": "TIMEOUT",
        "http2/frames.py": "MAX_CONCURRENT_STREAMS MAX_FRAME_SIZE MAX_HEADER_LIST_SIZE HEAD_BYTES"
        " LARGEST_WINDOW",
        "listeners/http1/plain_head.py": "_MAX_METHOD_BYTES",
        "listeners/sockets.py": "_LONGEST_PATH",
        "telemetry/metrics/own_metrics.py": "_DIGEST_BYTES",
        "telemetry/metrics/metric.py": "_ID_BYTES",
        "transcoding/json/writing/well_known.py": "_DURATION_MOST_S",
        "transcoding/streams/deframing.py": "_MAX_VARINT_BYTES",
        "transcoding/streams/form.py": "_LONGEST_BOUNDARY",
        "transcoding/streams/framing.py": "_MAX_ID_DIGITS",
        "transcoding/text_forms.py": "_DURATION_MAX_S _MOST_DIGITS _MOST_EXPONENT_DIGITS"
        " _FLOAT_LIMIT",
        "transcoding/wire.py": "_MOST_TAG",
        "upstream/channels/http2/calls.py": "PREFIX_BYTES",
        "upstream/channels/http2/headers.py": "_TIMEOUT",
    },
    "the size of a piece or a batch: it changes speed, not behaviour": {
        "cache/entries.py": "NAME_BYTES _FIELD_BYTES _OVERHEAD_BYTES _OWNER_BYTES",
        "cache/memory.py": "_LINE_BYTES _MOST_USES",
        "http/messages.py": "_FORM_BYTES",
        "http/sent_lines.py": "MOST_CHARACTERS",
        "interceptors/cache/stage.py": "_SHOWN_BYTES",
        "interceptors/cache/shared.py": "_IN_THREAD_BYTES",
        "stores/redis/replies.py": "_OVERHEAD_BYTES",
        "embedding/aiohttp_application.py": "_PIECE_BYTES",
        "embedding/asgi_body.py": "_BUFFER_BYTES",
        "exchange/dialects/websocket/connection.py": "_MESSAGE_OVERHEAD_BYTES _BATCH_BYTES",
        "exchange/dialects/websocket/frames.py": "_MIN_PIECE_BYTES _MAX_PIECE_BYTES"
        " _COMPRESSED_PIECE_BYTES",
        "http/compression.py": "_IN_THREAD_BYTES",
        "http/turns.py": "TURN_LIMIT_S _ALL_TURNS_LIMIT_S",
        "http2/headers.py": "_PIECE_BYTES",
        "listeners/http1/plain_head.py": "KEPT_BYTES _LINE_BYTES _MOST_FORMS _MOST_OTHERS"
        " _MOST_SHARED_FORMS",
        "listeners/http1/arriving_body.py": "LOW_WATER_BYTES",
        "listeners/http1/body.py": "_IN_THREAD_BYTES _PIECE_BYTES",
        "listeners/http1/inflating.py": "_INFLATED_BYTES",
        "http2/lent.py": "MUCH_BYTES _FRAME_BYTES _FEW_BYTES",
        "exchange/rendering.py": "_LARGE_BYTES",
        "upstream/channels/http2/socket.py": "_READ_BYTES",
        "http2/outgoing.py": "_LARGE_BYTES",
        "http2/stream.py": "JOINED_BYTES PART_BYTES",
        "listeners/http1/client_connection.py": "_PART_BYTES _MAX_LINES_AT_ONCE _MUCH_BYTES",
        "listeners/http1/protocol.py": "_MAX_REQUESTS_PER_TURN",
        "listeners/http1/stream_writer.py": "_BATCH_BYTES _JOINED_BYTES",
        "listeners/http1/unfinished_head.py": "_FULL_BYTES _LINE_BYTES",
        "listeners/write_batch.py": "MAX_JOINED_BYTES",
        "process/allocator.py": "_KEPT_BYTES",
        "process/pulse.py": "_READ_BYTES",
        "process/watched.py": "_PART_BYTES",
        "stores/memory_claims.py": "_CLAIM_BYTES",
        "stores/batching.py": "_MOST_TOGETHER",
        "transcoding/json/count.py": "_PIECE_BYTES",
        "transcoding/json/large_text.py": "WINDOW_BYTES",
        "transcoding/json/long_strings.py": "PIECE_BYTES _ESCAPE_BYTES",
        "transcoding/json/reading/failures.py": "_EXCERPT_BYTES",
        "transcoding/json/text.py": "_CHECKED_BYTES",
        "transcoding/json/writing/scalars.py": "_CHECKED_BYTES",
        "transcoding/json/writing/well_known.py": "_STEP_BYTES",
        "transcoding/streams/decoder.py": "PIECE_BYTES",
        "upstream/channels/http2/messages.py": "_LEAST_BYTES",
        "upstream/channels/http2/streaming_call.py": "_OWED_BYTES",
        "upstream/ring.py": "MOST_POINTS",
    },
    "how much is remembered so that it need not be computed again": {
        "auth/certificates.py": "_MOST",
        "http2/headers.py": "_REMEMBERED_BLOCK_BYTES",
        "interceptors/identify.py": "_MOST",
        "interceptors/rate_limits/refusal.py": "_MOST_ENDS",
        "interceptors/rate_limits/rules.py": "_MOST_KEYS",
        "listeners/http1/response_bytes.py": "_MOST_STARTS _LONGEST_START",
        "listeners/http1/known_lines.py": "_MAX_LINE_BYTES _MAX_NAME_BYTES",
        "transcoding/transcoder.py": "_LONGEST_ACCEPT _MOST_ACCEPTED _MOST_FORMS",
        "exchange/dialects/rest.py": "_MOST_PATHS _LONGEST_PATH",
        "exchange/ring/cors.py": "_MOST_ORIGINS _LONGEST_ORIGIN",
        "exchange/ring/security_headers.py": "_MOST_OTHERS",
        "telemetry/logs/access.py": "_MOST_REMEMBERED _LONGEST_REMEMBERED",
        "upstream/channels/http2/connections.py": "_MOST_WARNINGS",
        "upstream/channels/http2/headers.py": "_REMEMBERED_PAIR_BYTES",
        "upstream/pickers.py": "_MOST_IN_PAIRS",
    },
    "how much a person is shown": {
        "cli/described.py": "_MOST_LINES",
        "cli/doctor/reached.py": "_MOST_DIFFERENCES",
        "cli/document_notes.py": "_MOST",
        "cli/token.py": "_MOST_ROWS",
        "config/wording.py": "_MAX_QUOTED",
        "interceptors/cache/storage.py": "_LONGEST_SHOWN",
        "endpoints/admin/certificate_fields.py": "_MOST_LETTERS",
        "openapi/comments.py": "_LONGEST_SUMMARY",
        "process/reloading.py": "_MOST_LINES",
        "telemetry/logs/events.py": "_MOST_FRAMES",
        "telemetry/masking.py": "_MOST_NAMES _LONGEST_NAME _MOST_KNOWN",
    },
}


def constants() -> Iterator[tuple[str, str]]:
    """The file, below `gateway/`, and the name of each constant that is named like a limit."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Assign):
                (target,) = node.targets
            elif isinstance(node, ast.AnnAssign):
                target = node.target
            else:
                continue
            if not isinstance(target, ast.Name) or not target.id.isupper():
                continue
            is_a_table = isinstance(node.value, ast.Call | ast.Dict | ast.Set | ast.Subscript)
            if LIKE_A_LIMIT.search(target.id) and not is_a_table:
                yield file.relative_to(PACKAGE).as_posix(), target.id


def no_limits() -> list[tuple[str, str]]:
    return [
        (file, name)
        for by_file in NO_LIMITS.values()
        for file, names in by_file.items()
        for name in names.split()
    ]


def documented() -> set[tuple[str, str]]:
    """The file and the name of each constant in the tables: `` `a/b.py` (`A`, `B`) ``."""
    found: set[tuple[str, str]] = set()
    for file, names in re.findall(r"`([\w/]+\.py)` \(([^)]*)\)", PAGE.read_text()):
        found |= {(file, name) for name in re.findall(r"`(\w+)`", names)}
    return found


@pytest.mark.parametrize(
    ("file", "name"), [pytest.param(*one, id=":".join(one)) for one in constants()]
)
def test_a_constant_named_like_a_limit_is_documented_or_none(file: str, name: str) -> None:
    here = (file, name)
    assert (here in documented()) != (here in no_limits()), (
        f"gateway/{file}: {name} belongs in docs/limits.md if a client or a back end can use it up;"
        " else in NO_LIMITS, with a reason"
    )


def test_what_is_listed_exists() -> None:
    assert set(no_limits()) <= set(constants())
    for file, name in documented():
        assert re.search(rf"^{name}\b", (PACKAGE / file).read_text(), re.MULTILINE), (file, name)
