"""JSON to protobuf wire bytes, by one plan for each message type and without message objects."""
