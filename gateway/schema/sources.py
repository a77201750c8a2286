"""Sources of descriptors: files, compiled modules, serialized protos; merged into one set."""

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
"""Files that every tool ships in its own version: the first one found serves all sources."""


class DescriptorFiles:
    """Collects files from any number of sources and puts them in dependency order."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[FileDescriptorProto, str]] = {}

    def add_set(self, path: Path) -> None:
        """Adds a FileDescriptorSet file, made by protoc or buf.

        Raises:
            SchemaError: it cannot be read, is not a descriptor set, or contradicts an earlier
            source.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SchemaError(f"{path}: cannot be read: {error.strerror}") from None
        try:
            files = FileDescriptorSet.FromString(content).file
        except DecodeError:
            raise SchemaError(
                f"{path}: is not a descriptor set; make one with "
                "protoc --include_imports --descriptor_set_out=FILE, or buf build -o FILE"
            ) from None
        if not files:
            raise SchemaError(f"{path}: holds no files")
        self._add(files, str(path))

    def add_module(self, name: str) -> None:
        """Adds a module of generated code, or all such modules in a package and its subpackages.

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
        """Adds serialized FileDescriptorProtos, as server reflection returns them.

        Raises:
            SchemaError: one is not a FileDescriptorProto, or contradicts an earlier source.
        """
        try:
            parsed = [FileDescriptorProto.FromString(file) for file in files]
        except DecodeError:
            raise SchemaError(f"{source}: returned data that is not a file descriptor") from None
        self._add(parsed, source)

    def complete(self) -> FileDescriptorSet:
        """All files, each after its imports.

        Well-known files that no source has are taken from the installed packages.

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
            # Of two equal files, keep the one with source info: errors can then name lines.
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
        # Uses an explicit stack: the import depth of generated sets has no limit.
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
        """Adds an imported file from the installed packages if no source has it."""
        if name not in self._files:
            known = _well_known(name)
            if known is None:
                raise SchemaError(
                    f"{self._files[importer][1]}: {importer} imports {name}, which is missing; "
                    "protoc needs --include_imports"
                )
            self._files[name] = (known, "the installed packages")


def _check_names(file: FileDescriptorProto, source: str) -> None:
    """Rejects names that are not UTF-8: the library returns bytes for them, or fails.

    The library checks the names of messages and of their members when it builds its pool.

    Raises:
        SchemaError: the file, or one of its imports, has such a name.
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
    """The content that counts when two sources are compared.

    It has no comments, no positions, none of buf's additions, and no JSON names that are the
    default: protoc writes those into descriptor sets but not into generated modules.
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
    """The default JSON name of a field (ProtoJSON, "Field names")."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it runs code, which raises any kind
        raise SchemaError(f"{name}: cannot be imported: {error}") from None


def _walk(module: ModuleType) -> Iterator[ModuleType]:
    """Yields a module and, if it is a package, the generated modules below it."""
    yield module
    # Search for files: protoc writes no __init__.py, and pkgutil finds no packages without one.
    for place in map(Path, getattr(module, "__path__", ())):
        for file in sorted(place.rglob("*_pb2.py")):
            parts = file.relative_to(place).with_suffix("").parts
            if all(part.isidentifier() for part in parts):
                yield _import(".".join((module.__name__, *parts)))


def _with_imports(descriptors: Sequence[FileDescriptor]) -> Sequence[FileDescriptorProto]:
    """The given files and all their imports, each once."""
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
    """The file of this import name from the installed packages, or None."""
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
