"""Descriptors from files, modules and reflection end as one set, in order."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from gateway.schema.catalog import SchemaError, build_schema
from gateway.schema.sources import DescriptorFiles
from tests.support.schema import descriptor_pool, descriptor_set

A = 'syntax = "proto3"; package a; import "b.proto"; message A { b.B b = 1; }'
B = 'syntax = "proto3"; package b; message B { string x_y = 1; }'


def names(files: FileDescriptorSet) -> list[str]:
    return [file.name for file in files.file]


@pytest.fixture
def both() -> FileDescriptorSet:
    return descriptor_set(a=A, b=B)


def saved(files: FileDescriptorSet, place: Path, name: str = "set.binpb") -> Path:
    path = place / name
    path.write_bytes(files.SerializeToString())
    return path


def test_a_file_comes_behind_what_it_imports(both: FileDescriptorSet, tmp_path: Path) -> None:
    turned = FileDescriptorSet(file=reversed(both.file))
    subject = DescriptorFiles()
    subject.add_set(saved(turned, tmp_path))
    assert names(subject.complete()) == ["b.proto", "a.proto"]
    build_schema(subject.complete())


@pytest.mark.parametrize("order", [("full", "bare"), ("bare", "full")])
def test_a_file_in_several_sets_counts_once(
    both: FileDescriptorSet, tmp_path: Path, order: tuple[str, str]
) -> None:
    bare = FileDescriptorSet()
    bare.CopyFrom(both)
    for file in bare.file:
        file.ClearField("source_code_info")
        for message in file.message_type:
            for field in message.field:
                field.ClearField("json_name")
    paths = {"full": saved(both, tmp_path, "1"), "bare": saved(bare, tmp_path, "2")}
    subject = DescriptorFiles()
    for which in order:
        subject.add_set(paths[which])
    merged = subject.complete()
    assert names(merged) == ["b.proto", "a.proto"]
    assert merged.file[0].source_code_info.location, "the one with places is kept"


def test_two_different_files_of_one_name_are_refused(
    both: FileDescriptorSet, tmp_path: Path
) -> None:
    subject = DescriptorFiles()
    subject.add_set(saved(both, tmp_path, "first"))
    other = descriptor_set(a=A, b=B.replace("x_y = 1", "x_y = 2"))
    with pytest.raises(SchemaError, match=r"b\.proto differs between .*first and .*second"):
        subject.add_set(saved(other, tmp_path, "second"))


def test_a_missing_import_is_named_with_who_imports_it(
    both: FileDescriptorSet, tmp_path: Path
) -> None:
    alone = FileDescriptorSet(file=[f for f in both.file if f.name == "a.proto"])
    subject = DescriptorFiles()
    subject.add_set(saved(alone, tmp_path))
    with pytest.raises(SchemaError, match=r"a\.proto imports b\.proto, which is missing; protoc"):
        subject.complete()


def test_well_known_imports_are_filled_in() -> None:
    text = (
        'syntax = "proto3"; import "google/api/annotations.proto"; '
        'import "google/protobuf/timestamp.proto"; '
        "message M { google.protobuf.Timestamp t = 1; }"
    )
    files = descriptor_set(m=text)
    subject = DescriptorFiles()
    subject.add_serialized(
        [f.SerializeToString() for f in files.file if f.name == "m.proto"], "test"
    )
    found = names(subject.complete())
    assert found[-1] == "m.proto"
    assert {"google/api/http.proto", "google/protobuf/timestamp.proto"} <= set(found)


@pytest.mark.parametrize(
    "imported",
    [
        "google/api/client.proto",
        "google/api/field_info.proto",
        "google/longrunning/operations.proto",
        "google/protobuf/wrappers.proto",
        "google/rpc/context/attribute_context.proto",
        "google/type/latlng.proto",
    ],
)
def test_a_file_every_tool_has_is_filled_in_with_its_own_imports(imported: str) -> None:
    subject = DescriptorFiles()
    subject.add_serialized([importing(imported)], "test")
    files = subject.complete()
    assert names(files)[-2:] == [imported, "m.proto"]
    build_schema(files)


@pytest.mark.parametrize(
    "imported",
    [
        pytest.param("google/api/no_such.proto", id="nobody has it"),
        pytest.param("json/tool.proto", id="not of the shared folders"),
        pytest.param("google/api/../../os.proto", id="out of the shared folders"),
        pytest.param("google/api/http", id="no proto"),
        pytest.param("", id="no name"),
    ],
)
def test_nothing_else_is_looked_for_among_the_installed_packages(imported: str) -> None:
    subject = DescriptorFiles()
    subject.add_serialized([importing(imported)], "upstream a")
    with pytest.raises(SchemaError, match=f"upstream a: m.proto imports {imported}, which is miss"):
        subject.complete()


def importing(name: str) -> bytes:
    file = FileDescriptorProto(name="m.proto", syntax="proto3", dependency=[name])
    return file.SerializeToString()


def test_shared_files_of_two_versions_do_not_clash() -> None:
    subject = DescriptorFiles()
    for number in (1, 2):
        file = FileDescriptorProto(name="google/type/date.proto", package="google.type")
        file.message_type.add(name=f"Date{number}")
        subject.add_serialized([file.SerializeToString()], f"upstream {number}")
    assert [m.name for m in subject.complete().file[0].message_type] == ["Date1"]


def test_what_is_no_file_descriptor_is_told_so() -> None:
    with pytest.raises(
        SchemaError, match="upstream a: returned data that is not a file descriptor"
    ):
        DescriptorFiles().add_serialized([b"\xff\xff"], "upstream a")


def test_a_json_name_of_its_own_is_a_difference() -> None:
    subject = DescriptorFiles()
    for number, json_name in enumerate(("one", "two")):
        files = descriptor_set(b=B.replace("= 1", f'= 1 [json_name = "{json_name}"]'))
        if number:
            with pytest.raises(SchemaError, match=r"b\.proto differs between 0 and 1"):
                subject.add_serialized([files.file[0].SerializeToString()], "1")
        else:
            subject.add_serialized([files.file[0].SerializeToString()], "0")


@pytest.mark.parametrize("field", ["a", "_a", "a_", "a__b", "a_1", "aB_cD", "A_B", "a_b_c1_2d"])
def test_a_json_name_that_follows_from_the_field_is_no_difference(field: str) -> None:
    files = descriptor_set(b=f'syntax = "proto2"; message B {{ optional string {field} = 1; }}')
    bare = FileDescriptorProto()
    bare.CopyFrom(files.file[0])
    bare.message_type[0].field[0].ClearField("json_name")
    subject = DescriptorFiles()
    subject.add_serialized([file.SerializeToString() for file in (files.file[0], bare)], "test")
    assert names(subject.complete()) == ["b.proto"]


def test_files_that_import_each_other_are_refused() -> None:
    pair = [
        FileDescriptorProto(name="a.proto", dependency=["b.proto"]),
        FileDescriptorProto(name="b.proto", dependency=["a.proto"]),
    ]
    subject = DescriptorFiles()
    subject.add_serialized([file.SerializeToString() for file in pair], "test")
    with pytest.raises(SchemaError, match="import each other"):
        subject.complete()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"syntax = 'proto3';", "is not a descriptor set; make one", id="a .proto"),
        pytest.param(b"", "holds no files", id="empty"),
        pytest.param(None, "cannot be read: No such file", id="missing"),
    ],
)
def test_a_file_that_is_no_descriptor_set_is_told_so(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SchemaError) as raised:
        DescriptorFiles().add_set(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert says in str(raised.value)


@pytest.mark.parametrize("module", ["gen.library.v1", "gen", "gen.library.v1.library_pb2"])
def test_compiled_packages_and_modules_are_sources_too(module: str) -> None:
    subject = DescriptorFiles()
    subject.add_module(module)
    assert "library/v1/library.proto" in names(subject.complete())


@pytest.mark.parametrize(
    ("module", "says"),
    [
        pytest.param("no.such.module", "cannot be imported: No module named", id="missing"),
        pytest.param("gen/library", "cannot be imported: No module named", id="a folder"),
        pytest.param("", "cannot be imported: ", id="no name"),
        pytest.param(".gen", "cannot be imported: ", id="relative"),
        pytest.param("json", "holds no generated code", id="no generated code"),
    ],
)
def test_a_module_without_generated_code_is_told_so(module: str, says: str) -> None:
    with pytest.raises(SchemaError) as raised:
        DescriptorFiles().add_module(module)
    assert f"{module}: {says}" in str(raised.value)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of modules, forgotten afterwards."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        pytest.param("import nothing_like_this", "No module named", id="an import"),
        pytest.param("def (", "invalid syntax", id="its syntax"),
        pytest.param("raise SystemExit('it ends')", "it ends", id="an exit"),
        pytest.param("raise RuntimeError('made by a newer protoc')", "newer protoc", id="itself"),
    ],
)
def test_a_module_that_fails_to_import_is_told_so(folder: Path, code: str, says: str) -> None:
    (folder / "broken").mkdir()
    (folder / "broken" / "api_pb2.py").write_text(code)
    with pytest.raises(SchemaError, match=rf"^broken\.api_pb2: cannot be imported: .*{says}"):
        DescriptorFiles().add_module("broken")


def test_generated_code_is_found_in_folders_without_init_files(folder: Path) -> None:
    deep = folder / "plain" / "shop" / "v1"
    deep.mkdir(parents=True)
    (deep / "shop_pb2.py").write_text("from gen.library.v1.library_pb2 import DESCRIPTOR")
    (deep / "not-a-module_pb2.py").write_text("raise RuntimeError")
    (deep / "shop_pb2_grpc.py").write_text("raise RuntimeError")
    (deep / "other.py").write_text("raise RuntimeError")
    subject = DescriptorFiles()
    subject.add_module("plain")
    assert "library/v1/library.proto" in names(subject.complete())


def test_what_a_module_imports_from_elsewhere_comes_along(
    both: FileDescriptorSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("lone_pb2")
    module.DESCRIPTOR = descriptor_pool(both).FindFileByName("a.proto")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lone_pb2", module)
    subject = DescriptorFiles()
    subject.add_module("lone_pb2")
    assert names(subject.complete()) == ["b.proto", "a.proto"]


def test_sets_and_modules_agree() -> None:
    subject = DescriptorFiles()
    subject.add_set(Path("gen/descriptors.binpb"))
    subject.add_module("gen.library.v1")
    subject.complete()


@pytest.mark.slow
def test_a_set_that_is_read_before_a_module_declares_its_options_agrees_with_it() -> None:
    code = (
        "import sys; from pathlib import Path; from gateway.schema.sources import DescriptorFiles; "
        "subject = DescriptorFiles(); subject.add_set(Path('gen/descriptors.binpb')); "
        "assert 'gatewayapi.v1.policy_pb2' not in sys.modules; "
        "subject.add_module('gen.library.v1'); subject.complete()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_buf_adds_to_an_image_is_no_difference(
    both: FileDescriptorSet, tmp_path: Path
) -> None:
    subject = DescriptorFiles()
    subject.add_set(saved(both, tmp_path, "protoc"))
    image = tmp_path / "buf"
    # A buf image is the same message whose files carry one more field, number 8042.
    extension = bytes([0xD2, 0xF6, 0x03, 0x02, 0x08, 0x00])
    parts = [f.SerializeToString() + extension for f in both.file]
    image.write_bytes(b"".join(b"\x0a" + _varint(len(p)) + p for p in parts))
    subject.add_set(image)
    assert names(subject.complete()) == ["b.proto", "a.proto"]


def _varint(value: int) -> bytes:
    return bytes([value & 127 | 128, value >> 7]) if value > 127 else bytes([value])
