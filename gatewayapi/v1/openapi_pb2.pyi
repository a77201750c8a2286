from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
EXAMPLE_FIELD_NUMBER: _ClassVar[int]
example: _descriptor.FieldDescriptor
MESSAGE_EXAMPLE_FIELD_NUMBER: _ClassVar[int]
message_example: _descriptor.FieldDescriptor
