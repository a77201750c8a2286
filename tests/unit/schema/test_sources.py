"""Descriptors from files, modules and reflection end as one set, in order."""

import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from gateway.schema.catalog import SchemaError, build_schema
from gateway.schema.sources import DescriptorFiles
from tests.support.schema import descriptor_set

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


def test_a_file_in_several_sets_counts_once(both: FileDescriptorSet, tmp_path: Path) -> None:
    subject = DescriptorFiles()
    subject.add_set(saved(both, tmp_path, "1"))
    bare = FileDescriptorSet()
    bare.CopyFrom(both)
    for file in bare.file:
        file.ClearField("source_code_info")
        for message in file.message_type:
            for field in message.field:
                field.ClearField("json_name")
    subject.add_set(saved(bare, tmp_path, "2"))
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
        pytest.param(b"syntax = 'proto3';", "is no descriptor set; make one with", id="a .proto"),
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
        ("no.such.module", "cannot be imported: No module named"),
        ("json", "holds no generated code"),
    ],
)
def test_a_module_without_generated_code_is_told_so(module: str, says: str) -> None:
    with pytest.raises(SchemaError) as raised:
        DescriptorFiles().add_module(module)
    assert f"{module}: {says}" in str(raised.value)


def test_a_module_that_fails_to_import_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_pb2.py").write_text("import nothing_like_this")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SchemaError, match="broken_pb2: cannot be imported"):
        DescriptorFiles().add_module("broken_pb2")
    sys.modules.pop("broken_pb2", None)


def test_sets_and_modules_agree() -> None:
    subject = DescriptorFiles()
    subject.add_set(Path("gen/descriptors.binpb"))
    subject.add_module("gen.library.v1")
    subject.complete()


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
