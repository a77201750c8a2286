"""The WebSocket dialect: one streaming call over one WebSocket."""
