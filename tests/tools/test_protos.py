"""Generated code imports from anywhere, follows its protos exactly, and touches nothing else."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tools.protos import main, package_name, rewrite

Write = Callable[..., None]

PLAIN = 'syntax = "proto3"; package {package}; message {message} {{ string text = 1; }}'
A = PLAIN.format(package="a.v1", message="A")
B = PLAIN.format(package="b.v1", message="B")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes .proto files below `protos`, and makes their parent the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(**files: str) -> None:
        for name, text in files.items():
            path = Path("protos", f"{name}.proto")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def run_python(code: str) -> str:
    """What a fresh interpreter in the working directory prints."""
    # The descriptor pool that generated code registers with is one for a whole process.
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def snapshot(folder: str) -> dict[str, bytes]:
    paths = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in paths}


def test_modules_classes_stubs_packages_and_a_descriptor_set_are_made(write: Write) -> None:
    write(**{"a/v1/a": A})
    assert main([]) == 0
    assert sorted(snapshot("gen")) == [
        "gen/__init__.py",
        "gen/a/__init__.py",
        "gen/a/v1/__init__.py",
        "gen/a/v1/a_pb2.py",
        "gen/a/v1/a_pb2.pyi",
        "gen/a/v1/a_pb2_grpc.py",
        "gen/descriptors.binpb",
    ]


def test_protos_that_import_each_other_and_google_import_from_the_users_own_package(
    write: Write,
) -> None:
    write(
        **{
            "a/v1/a": A,
            "top": PLAIN.format(package="top", message="Top"),
            "b/v1/b": """
                syntax = "proto3";
                package b.v1;
                import "a/v1/a.proto";
                import "google/api/annotations.proto";
                import "google/protobuf/timestamp.proto";
                import "top.proto";
                message B { a.v1.A a = 1; top.Top top = 2; google.protobuf.Timestamp time = 3; }
                service S {
                  rpc Get(B) returns (a.v1.A) { option (google.api.http) = {get: "/v1/b"}; }
                }
            """,
        }
    )
    Path("protos").rename("their_protos")
    assert main(["--protos", "their_protos", "--out", "my_gen"]) == 0
    assert (
        run_python(
            "from my_gen.b.v1 import b_pb2, b_pb2_grpc; import google.protobuf.timestamp_pb2 as t;"
            "print(b_pb2.B(a={'text': 'x'}).a.text, b_pb2.B().time.__class__ is t.Timestamp,"
            "      b_pb2_grpc.SStub.__name__)"
        )
        == "x True SStub"
    )
    stub = Path("my_gen/b/v1/b_pb2.pyi").read_text()
    assert "from my_gen.a.v1 import a_pb2 as _a_pb2\n" in stub
    assert "from my_gen import top_pb2 as _top_pb2\n" in stub
    assert "from google.protobuf import timestamp_pb2 as _timestamp_pb2\n" in stub


def test_a_public_import_hands_on_the_names_of_the_imported_file(write: Write) -> None:
    write(
        **{
            "a/v1/a": A,
            "b/v1/b": 'syntax = "proto3"; package b.v1; import public "a/v1/a.proto";',
        }
    )
    assert main([]) == 0
    assert run_python("from gen.b.v1.b_pb2 import A; print(A(text='x').text)") == "x"
    assert "from gen.a.v1.a_pb2 import A as A\n" in Path("gen/b/v1/b_pb2.pyi").read_text()


def test_a_package_called_gateway_lives_beside_the_gateway(write: Write) -> None:
    write(**{"gateway/status": PLAIN.format(package="gateway", message="Mine")})
    Path("gateway").mkdir()
    Path("gateway/__init__.py").write_text("")
    Path("gateway/status.py").write_text("WHOSE = 'the product'")
    assert main([]) == 0
    code = (
        "import gateway.status as s, gen.gateway.status_pb2 as g; print(s.WHOSE, g.Mine.__name__)"
    )
    assert run_python(code) == "the product Mine"


def test_keywords_as_package_names_break_nothing(write: Write) -> None:
    write(
        **{
            "class/v1/in": PLAIN.format(package="class.v1", message="In"),
            "class/v1/dash-ed": PLAIN.format(package="class.v1", message="Dashed"),
            "b/v1/public": 'syntax = "proto3"; package b.v1; import public "class/v1/in.proto";',
            "b/v1/b": """
                syntax = "proto3";
                package b.v1;
                import "b/v1/public.proto";
                import "class/v1/dash-ed.proto";
                message B { class.v1.In one = 1; class.v1.Dashed two = 2; }
                service S { rpc Get(class.v1.In) returns (class.v1.Dashed); }
            """,
        }
    )
    assert main([]) == 0
    for path, content in snapshot("gen").items():
        if path.endswith((".py", ".pyi")):
            compile(content, path, "exec")
    code = (
        "import gen.b.v1.b_pb2_grpc; from gen.b.v1.b_pb2 import B;"
        "from gen.b.v1.public_pb2 import In; print(B(one=In(text='x'), two={'text': 'y'}).two.text)"
    )
    assert run_python(code) == "y"


def test_generated_messages_can_be_pickled(write: Write) -> None:
    write(**{"a/v1/a": A})
    assert main([]) == 0
    code = "import pickle; from gen.a.v1.a_pb2 import A;"
    code += "print(pickle.loads(pickle.dumps(A(text='x'))).text)"
    assert run_python(code) == "x"


def test_the_package_name_is_that_of_the_folder_behind_the_packages_it_lies_in(
    tmp_path: Path,
) -> None:
    inner = tmp_path / "src" / "acme" / "rpc"
    inner.mkdir(parents=True)
    assert package_name(inner) == "rpc"
    (tmp_path / "src" / "acme" / "__init__.py").touch()
    assert package_name(inner) == "acme.rpc"


def test_imports_in_comments_and_of_modules_made_elsewhere_stay() -> None:
    text = '    """Doc\n    import a_pb2 as x\n    """\nfrom google.api import http_pb2 as _h\n'
    assert rewrite(text, "gen", {"a_pb2"}) == text


def test_the_descriptor_set_is_complete_in_order_and_has_the_comments_of_its_own_protos(
    write: Write,
) -> None:
    write(
        **{
            "b/v1/b": """
                syntax = "proto3";
                package b.v1;
                import "google/protobuf/timestamp.proto";
                // What it is.
                message B { google.protobuf.Timestamp time = 1; }
            """
        }
    )
    assert main([]) == 0
    files = FileDescriptorSet.FromString(Path("gen/descriptors.binpb").read_bytes()).file
    assert [file.name for file in files] == ["google/protobuf/timestamp.proto", "b/v1/b.proto"]
    comments = [place.leading_comments for place in files[1].source_code_info.location]
    assert " What it is.\n" in comments
    assert not files[0].HasField("source_code_info")


def test_copies_of_googles_protos_in_the_users_folder_make_no_modules(write: Write) -> None:
    write(
        **{
            "google/api/http": 'syntax = "proto3"; package google.api; message HttpRule {}',
            "google/acme/v1/own": PLAIN.format(package="google.acme.v1", message="Own"),
        }
    )
    assert main([]) == 0
    assert not Path("gen/google/api").exists()
    assert run_python("from gen.google.acme.v1.own_pb2 import Own; print(Own.__name__)") == "Own"


def test_generating_twice_changes_nothing(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(**{"a/v1/a": A, "b/v1/b": B})
    assert main([]) == 0
    first = snapshot("gen")
    assert main([]) == 0
    assert snapshot("gen") == first
    assert capsys.readouterr().out.splitlines()[-1] == "gen: 12 files, 0 changed"


def test_a_removed_proto_takes_its_modules_and_folders_along_and_nothing_else(
    write: Write,
) -> None:
    write(**{"a/v1/a": A, "b/v1/b": B})
    assert main([]) == 0
    cache = Path("gen/b/v1/__pycache__")
    cache.mkdir()
    (cache / "b_pb2.cpython-311.pyc").touch()
    Path("gen/notes.md").write_text("kept")
    Path("protos/b/v1/b.proto").unlink()
    assert main([]) == 0
    assert not Path("gen/b").exists()
    assert Path("gen/notes.md").read_text() == "kept"
    assert Path("gen/a/v1/a_pb2.py").exists()


def test_a_failed_run_leaves_what_was_there(write: Write) -> None:
    write(**{"a/v1/a": A})
    assert main([]) == 0
    before = snapshot("gen")
    write(**{"a/v1/a": "message {"})
    assert main([]) == 1
    assert snapshot("gen") == before


def test_check_is_silent_when_all_is_fresh(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(**{"a/v1/a": A})
    assert main([]) == 0
    capsys.readouterr()
    assert main(["--check"]) == 0
    assert capsys.readouterr() == ("", "")


def test_check_lists_what_differs_is_missing_and_is_stale_and_changes_nothing(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(**{"a/v1/a": A, "b/v1/b": B})
    assert main([]) == 0
    Path("gen/a/v1/a_pb2.py").write_text("# edited by hand\n")
    Path("gen/a/v1/a_pb2.pyi").unlink()
    Path("protos/b/v1/b.proto").unlink()
    before = snapshot("gen")
    capsys.readouterr()
    assert main(["--check"]) == 1
    assert snapshot("gen") == before
    assert capsys.readouterr().err.splitlines() == [
        "gen/b/__init__.py: is stale",
        "gen/b/v1/__init__.py: is stale",
        "gen/b/v1/b_pb2.py: is stale",
        "gen/b/v1/b_pb2.pyi: is stale",
        "gen/b/v1/b_pb2_grpc.py: is stale",
        "gen/a/v1/a_pb2.py: differs",
        "gen/a/v1/a_pb2.pyi: is missing",
        "gen/descriptors.binpb: differs",
        "gen does not match its .proto files; run: make protos",
    ]


def test_generated_code_from_elsewhere_is_not_touched(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(**{"a/v1/a": A})
    Path("gen").mkdir()
    Path("gen/other_pb2.py").write_text("theirs")
    assert main([]) == 1
    assert snapshot("gen") == {"gen/other_pb2.py": b"theirs"}
    assert capsys.readouterr().err.startswith("gen: contains generated code of another tool;")


def test_a_mistake_in_a_proto_is_told_with_file_and_line(
    write: Write, capfd: pytest.CaptureFixture[str]
) -> None:
    write(**{"a/v1/a": 'syntax = "proto3";\n\nmessage A { Nope nope = 1; }\n'})
    assert main([]) == 1
    assert capfd.readouterr().err == 'protos/a/v1/a.proto:3:13: "Nope" is not defined.\n'


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["--protos", "nowhere"], "nowhere: no such folder\n", id="no folder"),
        pytest.param(["--protos", "empty"], "empty: contains no .proto files\n", id="no protos"),
        pytest.param(
            ["--out", "my-gen"],
            "my-gen: 'my-gen' cannot be the name of a Python package\n",
            id="a dash in the package's name",
        ),
        pytest.param(
            ["--out", "class"],
            "class: 'class' cannot be the name of a Python package\n",
            id="a keyword as the package's name",
        ),
    ],
)
def test_a_wrong_argument_is_told_in_a_line(
    write: Write, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    write(**{"a/v1/a": A})
    Path("empty").mkdir()
    assert main(arguments) == 1
    assert capsys.readouterr() == ("", told)
