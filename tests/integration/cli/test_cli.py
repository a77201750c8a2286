"""The command line, as a user types it."""

import asyncio
import io
import json
import signal
import subprocess
import sys
import urllib.request
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest

from gateway.cli.main import main
from gateway.schema.catalog import build_schema
from services import echo
from services.serving import serve
from tests.support.schema import descriptor_set

SAMPLE = ["--descriptors", "gen/descriptors.binpb"]


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def gateway(*arguments: str, **environment: str) -> Done:
    """Runs the command line in this process, as its console script does."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["gateway", *arguments]),
        patch.dict("os.environ", {"COLUMNS": "200", "TERM": "dumb", **environment}),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code
        else:
            code = 0
    return Done(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())


def test_routes_are_a_table() -> None:
    done = gateway("routes", *SAMPLE)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if "UpdateBook" in line)
    assert line.split() == [
        "PATCH",
        "/v1/{book.name=shelves/*/books/*}",
        "library.v1.LibraryService.UpdateBook",
        "unary",
        "book",
        "anonymous",
    ]


def test_routes_are_one_json_object_a_line() -> None:
    done = gateway("routes", "--json", *SAMPLE)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {
        "http_method": "GET",
        "template": "/v1/books:batchGet",
        "rpc": "library.v1.LibraryService.BatchGetBooks",
        "kind": "unary",
        "body": "",
        "response_body": "books",
        "policy": "anonymous",
    } in rows


def test_a_module_serves_as_well_as_a_descriptor_set() -> None:
    done = gateway("routes", "--json", "--module", "gen.library.v1")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(
        [x for x in gateway("routes", "--json", *SAMPLE).stdout.splitlines() if "library" in x]
    )


def test_only_the_services_asked_for_are_shown() -> None:
    done = gateway("routes", "--json", "--service", "echo.v1.*", *SAMPLE)
    assert {json.loads(line)["rpc"].rpartition(".")[0] for line in done.stdout.splitlines()} == {
        "echo.v1.EchoService"
    }


def test_check_is_content_with_the_sample_apis() -> None:
    done = gateway("check", *SAMPLE)
    assert done.returncode == 0
    assert done.stdout.rstrip().endswith("0 errors, 0 warnings")


@pytest.fixture
def bad_set(tmp_path: Path) -> Path:
    files = descriptor_set(
        bad="""
syntax = "proto3";
package bad;
import "google/api/annotations.proto";
message M { string a = 1; }
service S {
  rpc A(M) returns (M) { option (google.api.http) = {get: "/v1/{nope}"}; }
  rpc B(M) returns (M) { option (google.api.http) = {get: "/v1/{a=x/**}/y"}; }
  rpc C(M) returns (M) { option (google.api.http) = {get: "/v1/x"}; }
  rpc D(M) returns (M) { option (google.api.http) = {get: "/v1/x"}; }
}
"""
    )
    build_schema(files)
    path = tmp_path / "bad.binpb"
    path.write_bytes(files.SerializeToString())
    return path


def test_check_names_every_fault_with_its_place(bad_set: Path) -> None:
    done = gateway("check", "--descriptors", str(bad_set))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "bad.proto:7: error: bad.S.A: GET /v1/{nope}: nope: bad.M has no field nope"
    )
    assert lines[1].startswith("bad.proto:8: warning: bad.S.B: GET /v1/{a=x/**}/y: segments after")
    assert lines[2].startswith("bad.proto:10: error: bad.S.D: GET /v1/x: the same route as bad.S.C")
    assert lines[3].endswith("2 errors, 2 warnings") or lines[3].endswith("2 errors, 1 warnings")


def test_a_bad_rule_keeps_the_gateway_from_starting(bad_set: Path) -> None:
    done = gateway("serve", "--descriptors", str(bad_set), "--upstream", "127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.startswith("gateway: bad.proto:7: error: bad.S.A")
    assert "Traceback" not in done.stderr


def test_explain_shows_binding_fields_and_message() -> None:
    request = "PATCH /v1/shelves/1/books/2?update_mask=title"
    done = gateway("explain", request, "-d", '{"title": "x"}', *SAMPLE)
    assert done.returncode == 0, done.stderr
    out = done.stdout
    assert out.startswith("PATCH /v1/{book.name=shelves/*/books/*}\n")
    assert "/library.v1.LibraryService/UpdateBook" in out
    assert "path: 'shelves/1/books/2' -> book.name" in out
    assert "query update_mask: 'title' -> update_mask" in out
    assert '"updateMask":"title"' in out
    assert "GET /v1/{name=shelves/*/books/*}: the path fits, but it serves GET" in out


def test_explain_shows_system_parameters_without_keys(tmp_path: Path) -> None:
    config = tmp_path / "service.yaml"
    parameters = "{name: $alt, url_query_parameter: as}, {name: api_key, url_query_parameter: key}"
    config.write_text(
        "type: google.api.Service\n"
        f"system_parameters: {{rules: [{{selector: '*', parameters: [{parameters}]}}]}}\n"
    )
    request = "GET /v1/shelves?as=json&key=s3cret"
    done = gateway("explain", request, "--service-config", str(config), *SAMPLE)
    assert done.returncode == 0, done.stderr
    assert "query as: 'json' -> system parameter alt" in done.stdout
    assert "query key: '***' -> system parameter api_key" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["GET /nowhere"], "404 NOT_FOUND: no route for GET /nowhere"),
        (["GET /v1/shelves?x=y"], "400 INVALID_ARGUMENT: x: no such query parameter"),
        (["POST /v1/echo", "-d", '{"nope": 1}'], "400 INVALID_ARGUMENT: nope: "),
    ],
)
def test_explain_tells_why_a_request_would_be_refused(arguments: list[str], says: str) -> None:
    done = gateway("explain", *arguments, *SAMPLE)
    assert done.returncode == 1
    assert says in done.stdout


def test_explain_takes_method_and_path_apart_and_shows_the_five_nearest() -> None:
    done = gateway("explain", "get", "/v1/shelfs/1/books", *SAMPLE)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "404 NOT_FOUND: no route for GET /v1/shelfs/1/books"
    assert lines[1] == "nearest routes:"
    assert lines[2] == "  GET /v1/{parent=shelves/*}/books: segment 2 is 'shelfs' and not 'shelves'"
    assert len(lines) == 7


def test_routes_lists_what_is_served_where_two_methods_claim_a_route(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "type: google.api.Service\nhttp: {rules: [\n"
        "{selector: library.v1.LibraryService.GetShelf, get: '/v1/{name=same/*}'},\n"
        "{selector: library.v1.LibraryService.GetBook, get: '/v1/{name=same/*}'}]}\n"
    )
    listed = {}
    for on_conflict in ("first", "last"):
        done = gateway("routes", "--json", "--on-conflict", on_conflict, *SAMPLE,
                       "--service-config", str(rules))  # fmt: skip
        rows = map(json.loads, done.stdout.splitlines())
        listed[on_conflict] = [row["rpc"] for row in rows if "same" in row["template"]]
    assert listed == {
        "first": ["library.v1.LibraryService.GetShelf"],
        "last": ["library.v1.LibraryService.GetBook"],
    }


def test_config_prints_a_json_schema() -> None:
    schema = json.loads(gateway("config", "--schema").stdout)
    assert schema["properties"]["listen"]["default"] == "127.0.0.1:8080"
    assert "description" in schema["properties"]["listen"]


def test_config_prints_what_is_in_force() -> None:
    settings = json.loads(gateway("config", GATEWAY_JSON__PRETTY="true").stdout)
    assert settings["json"]["pretty"] is True


def test_version_is_printed() -> None:
    # Which of the two it is, `tests/compiled.py` knows.
    version, codec = gateway("version").stdout.strip().split("; JSON codec: ")
    assert version in ("0.1.0", "0.1.0, as machine code")
    assert codec in ("Python", "Rust")
    forced = gateway("version", GATEWAY_CODEC="python").stdout
    assert forced == f"{version}; JSON codec: Python\n"
    assert gateway("--version").stdout == gateway("version").stdout


@pytest.mark.parametrize("command", [["check", *SAMPLE], ["routes", *SAMPLE], ["version"]])
def test_a_codec_of_another_name_is_refused(command: list[str]) -> None:
    done = gateway(*command, GATEWAY_CODEC="fast")
    assert done.returncode == 1
    assert 'GATEWAY_CODEC is "fast": expected python or native' in done.stdout + done.stderr


def test_routes_are_readable_in_80_columns() -> None:
    done = gateway("routes", *SAMPLE, COLUMNS="80")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    at = lines.index("PATCH   /v1/{book.name=shelves/*/books/*}")
    assert lines[at + 1].strip() == "library.v1.LibraryService.UpdateBook"
    assert lines[at + 2].strip() == "unary, body book, anonymous"
    whole = [word for word in done.stdout.split() if word.startswith("/v1/")]
    rows = gateway("routes", "--json", *SAMPLE).stdout.splitlines()
    assert whole == [json.loads(row)["template"] for row in rows]


def test_variables_of_a_cluster_do_not_keep_it_from_starting() -> None:
    done = gateway("check", *SAMPLE, GATEWAY_PORT="tcp://10.0.0.1:80", GATEWAY_SERVICE_HOST="a")
    assert done.returncode == 0
    warnings = [line for line in done.stderr.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith(
        "gateway: warning: the environment variables GATEWAY_PORT and 1 more"
    )


@pytest.mark.parametrize("target", ["a:1,b:1", "http://a:1"])
def test_a_target_that_is_none_is_refused_with_the_right_form(target: str) -> None:
    done = gateway("serve", *SAMPLE, "--upstream", target)
    assert done.returncode == 1
    assert "flags: upstreams.upstream1.target: expected" in done.stderr


def test_two_upstreams_of_one_name_are_refused() -> None:
    done = gateway("serve", *SAMPLE, "--upstream", "a=x:1", "--upstream", "a=y:1")
    assert done.returncode == 1
    assert "the name a is taken" in done.stderr


def test_the_console_script_finds_modules_of_the_working_directory(tmp_path: Path) -> None:
    place = tmp_path / "my_gen" / "echo"  # without __init__.py, as protoc leaves it
    place.mkdir(parents=True)
    code = "DESCRIPTOR = __import__('gen.echo.v1.echo_pb2', fromlist=['x']).DESCRIPTOR"
    (place / "echo_pb2.py").write_text(code)
    # -P leaves the working directory out of sys.path, as for a script that stands elsewhere.
    done = subprocess.run(
        [sys.executable, "-P", "-c", "from gateway.cli.main import main; main()", "check",
         "--module", "my_gen"],
        cwd=tmp_path, env={"PYTHONPATH": str(Path.cwd())}, check=False, timeout=30,
        capture_output=True, text=True,
    )  # fmt: skip
    assert "0 errors" in done.stdout, done.stderr


@pytest.mark.parametrize("command", ["serve", "routes", "check", "explain", "config", "version"])
def test_every_command_explains_itself(command: str) -> None:
    done = gateway(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: gateway {command}")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["serve"], "no back end to call: give --upstream HOST:PORT"),
        (["routes"], "there is no schema: give --descriptors FILE"),
        (["routes", "--descriptors", "none.binpb"], "none.binpb: cannot be read"),
        (["routes", "--module", "no.such"], "no.such: cannot be imported"),
        (["routes", "--service", "no.such", *SAMPLE], "no service is called no.such"),
        (["routes", "--config", "none.yaml"], "none.yaml: cannot be read"),
        (["serve", "--upstream", "=x", *SAMPLE], "--upstream =x: expected [NAME=]HOST:PORT"),
        (["routes", "--reflect", "--upstream", "127.0.0.1:1"], "upstream1"),
        (
            ["serve", "--upstream", "a=127.0.0.1:1", "--upstream", "b=127.0.0.1:2", *SAMPLE],
            "could go to a or b",
        ),
        (
            ["serve", "--upstream", "127.0.0.1:1", "--listen", "nonsense", *SAMPLE],
            "cannot listen on 'nonsense'",
        ),
    ],
)
def test_what_keeps_it_from_working_is_one_clear_line(arguments: list[str], says: str) -> None:
    done = gateway(*arguments)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert all(line.startswith("gateway: ") for line in done.stderr.splitlines())


def test_an_unknown_setting_is_refused_by_its_path() -> None:
    done = gateway("routes", *SAMPLE, GATEWAY_LIMITS__BODY_BYTE="1")
    assert done.returncode == 1
    assert "limits.body_byte: unknown key; did you mean body_bytes?" in done.stderr


@pytest.mark.parametrize("source", [[*SAMPLE, "--service", "echo.v1.*"], ["--reflect"]])
async def test_serve_serves_until_it_is_interrupted(source: list[str]) -> None:
    async with serve(echo.register) as backend:
        arguments = ["serve", *source, "--upstream", backend, "--listen", "127.0.0.1:0"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", *arguments,
            stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            await _use(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _use(process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(20):
        warning = (await process.stderr.readline()).decode()
        started = (await process.stderr.readline()).decode()
    assert warning.startswith("gateway: warning: no kind of credential is set")
    assert started.startswith("gateway: serving 8 routes on http://127.0.0.1:")
    body = await asyncio.to_thread(_fetch, f"{started.split()[-1]}/v1/echo/hello")
    assert json.loads(body)["text"] == "hello"
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(10):
        out, err = await process.communicate()
    assert process.returncode == 0
    assert "Traceback" not in err.decode()
    lines = [json.loads(line) for line in out.splitlines()]
    told = [line.get("event.name", line.get("url.path")) for line in lines]
    told.remove("gateway.upstream.up")  # before the others, where it is asked for its descriptors
    assert told == [
        "gateway.started",
        "gateway.warning",
        "gateway.listening",
        "/v1/echo/hello",
        "gateway.draining",
        "gateway.stopped",
    ]


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        body: bytes = response.read()
        return body
