"""Where descriptors come from: files, compiled modules, serialized protos; one set in the end."""

import importlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import (
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.protobuf.message import DecodeError

from gateway.schema.catalog import SchemaError

_SHARED = re.compile(
    r"(?:google/(?:api|longrunning|protobuf|rpc|type)|gatewayapi/v1)/[a-z0-9_/]+\.proto"
)
"""Files that come with every tool, in whichever version that has: the first found serves all."""


class DescriptorFiles:
    """Collects files from any number of sources and puts them in dependency order."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[FileDescriptorProto, str]] = {}

    def add_set(self, path: Path) -> None:
        """Adds a FileDescriptorSet file: protoc's, or a buf image.

        Raises:
            SchemaError: it cannot be read, is no descriptor set, or contradicts an earlier source.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SchemaError(f"{path}: cannot be read: {error.strerror}") from None
        try:
            files = FileDescriptorSet.FromString(content).file
        except DecodeError:
            raise SchemaError(
                f"{path}: is no descriptor set; make one with "
                "protoc --include_imports --descriptor_set_out=FILE, or buf build -o FILE"
            ) from None
        if not files:
            raise SchemaError(f"{path}: holds no files")
        self._add(files, str(path))

    def add_module(self, name: str) -> None:
        """Adds a module of generated code, or every one in a package and below.

        Raises:
            SchemaError: it cannot be imported or holds no generated code.
        """
        modules = list(_walk(_import(name)))
        descriptors = [
            module.DESCRIPTOR
            for module in modules
            if isinstance(getattr(module, "DESCRIPTOR", None), FileDescriptor)
        ]
        if not descriptors:
            raise SchemaError(f"{name}: holds no generated code (modules whose name ends in _pb2)")
        self._add(_with_imports(descriptors), name)

    def add_serialized(self, files: Iterable[bytes], source: str) -> None:
        """Adds serialized FileDescriptorProtos, as server reflection gives them.

        Raises:
            SchemaError: one is no such thing, or contradicts an earlier source.
        """
        try:
            parsed = [FileDescriptorProto.FromString(file) for file in files]
        except DecodeError:
            raise SchemaError(f"{source}: gave something that is no file descriptor") from None
        self._add(parsed, source)

    def complete(self) -> FileDescriptorSet:
        """All files, each behind what it imports.

        Well-known files that a source left out are filled in from the installed packages.

        Raises:
            SchemaError: an import is missing, or imports go in a circle.
        """
        ordered: dict[str, FileDescriptorProto] = {}
        for name in list(self._files):
            self._order(name, ordered)
        return FileDescriptorSet(file=ordered.values())

    def _add(self, files: Iterable[FileDescriptorProto], source: str) -> None:
        for file in files:
            _check_names(file, source)
            known = self._files.get(file.name)
            self._refuse_difference(file, source)
            # Of two alike, the one that can name lines is worth more.
            if known is None or _can_name_lines(file) > _can_name_lines(known[0]):
                self._files[file.name] = (file, source)

    def _refuse_difference(self, file: FileDescriptorProto, source: str) -> None:
        known = self._files.get(file.name)
        if known is None or _SHARED.fullmatch(file.name):
            return
        try:
            is_same = _content(known[0]) == _content(file)
        except (TypeError, UnicodeDecodeError):  # see `_check_names`
            raise SchemaError(
                f"{file.name} in {known[1]} or in {source}: is damaged: it holds a name that is "
                "not UTF-8"
            ) from None
        if not is_same:
            raise SchemaError(f"{file.name} differs between {known[1]} and {source}")

    def _order(self, name: str, ordered: dict[str, FileDescriptorProto]) -> None:
        # Kept on an own stack: the import depth of generated sets has no bound.
        stack = [(name, iter(self._files[name][0].dependency))]
        open_files = {name}
        while stack:
            current, imports = stack[-1]
            imported = next((i for i in imports if i not in ordered), None)
            if imported is None:
                ordered[current] = self._files[current][0]
                open_files.discard(current)
                stack.pop()
            elif imported in open_files:
                raise SchemaError(f"{current} and {imported} import each other")
            else:
                self._find(imported, current)
                open_files.add(imported)
                stack.append((imported, iter(self._files[imported][0].dependency)))

    def _find(self, name: str, importer: str) -> None:
        """Makes sure that an imported file is there."""
        if name not in self._files:
            known = _well_known(name)
            if known is None:
                raise SchemaError(
                    f"{self._files[importer][1]}: {importer} imports {name}, which is missing; "
                    "protoc needs --include_imports"
                )
            self._files[name] = (known, "the installed packages")


def _check_names(file: FileDescriptorProto, source: str) -> None:
    """Refuses names that are not UTF-8: the library gives them as bytes, or fails at reading them.

    Names of messages and of what they hold are checked by the library, when it builds its pool.

    Raises:
        SchemaError: the file, or one that it imports, has such a name.
    """
    try:
        names: list[object] = [file.name, file.package, *file.dependency]
    except UnicodeDecodeError:
        names = [b""]
    if not all(isinstance(name, str) for name in names):
        raise SchemaError(f"{source}: is damaged: it holds a file name that is not UTF-8")
    if not file.name:
        raise SchemaError(f"{source}: is damaged: it holds a file without a name")


def _can_name_lines(file: FileDescriptorProto) -> bool:
    return bool(file.source_code_info.location)


def _content(file: FileDescriptorProto) -> bytes:
    """What counts when two sources are compared.

    Comments and positions do not, nor what buf adds, nor JSON names that follow from the field's:
    protoc writes those into descriptor sets but not into generated modules.
    """
    # Read anew: an option is unknown to a file that was read before a module declared the option.
    bare = FileDescriptorProto.FromString(file.SerializeToString())
    bare.ClearField("source_code_info")
    bare.DiscardUnknownFields()
    for field in _fields(bare):
        if field.json_name == _default_json_name(field.name):
            field.ClearField("json_name")
    return bare.SerializeToString(deterministic=True)


def _fields(file: FileDescriptorProto) -> Iterator[FieldDescriptorProto]:
    yield from file.extension
    messages = list(file.message_type)
    while messages:
        message = messages.pop()
        yield from message.field
        yield from message.extension
        messages.extend(message.nested_type)


def _default_json_name(name: str) -> str:
    """The JSON name of a field that states none (ProtoJSON, "Field names")."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - it runs code, and generated code raises any kind
        raise SchemaError(f"{name}: cannot be imported: {error}") from None


def _walk(module: ModuleType) -> Iterator[ModuleType]:
    """A module and, where it is a package, the generated modules below it."""
    yield module
    # By file: protoc writes no __init__.py, and folders without one are not found as packages.
    for place in map(Path, getattr(module, "__path__", ())):
        for file in sorted(place.rglob("*_pb2.py")):
            parts = file.relative_to(place).with_suffix("").parts
            if all(part.isidentifier() for part in parts):
                yield _import(".".join((module.__name__, *parts)))


def _with_imports(descriptors: Sequence[FileDescriptor]) -> Sequence[FileDescriptorProto]:
    """Compiled files and all they import, each once."""
    found: dict[str, FileDescriptorProto] = {}
    waiting = list(descriptors)
    while waiting:
        current = waiting.pop()
        if current.name not in found:
            proto = FileDescriptorProto()
            current.CopyToProto(proto)
            found[current.name] = proto
            waiting.extend(current.dependencies)
    return list(found.values())


def _well_known(name: str) -> FileDescriptorProto | None:
    """A file that the installed packages have, by the name it is imported under."""
    if not _SHARED.fullmatch(name):
        return None
    module = name.removesuffix(".proto").replace("/", ".") + "_pb2"
    try:
        descriptor = importlib.import_module(module).DESCRIPTOR
    except ImportError:
        return None
    proto = FileDescriptorProto()
    descriptor.CopyToProto(proto)
    return proto
