"""JSON to protobuf wire bytes and back."""
