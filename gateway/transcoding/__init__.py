"""HTTP to protobuf wire bytes and back; pure, no I/O."""
