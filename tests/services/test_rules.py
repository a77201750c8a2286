"""The samples' HTTP rules are all served, without a doubt."""

from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway.config.routing import OnConflict
from gateway.schema.catalog import build_schema
from gateway.transcoding.binding import bind, build_router

DESCRIPTORS = Path(__file__).parents[2] / "gen" / "descriptors.binpb"


def test_every_method_has_a_rule_and_no_rule_raises_a_doubt() -> None:
    schema = build_schema(FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()))
    bindings, diagnostics = bind(schema)
    assert diagnostics == []
    assert {binding.method for binding in bindings} == set(schema.methods.values())
    _, conflicts = build_router(bindings, on_conflict=OnConflict.REFUSE)
    assert conflicts == []
