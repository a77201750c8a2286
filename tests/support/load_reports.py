"""The bytes of load reports: xds.data.orca.v3.OrcaLoadReport."""

import struct


def number(field: int, value: float) -> bytes:
    """A field with a number: 1 cpu_utilization, 6 rps_fractional, 7 eps, 9
    application_utilization."""
    return bytes([field << 3 | 1]) + struct.pack("<d", value)


def entry(field: int, key: str, value: float) -> bytes:
    """An entry of a map: 4 request_cost, 5 utilization, 8 named_metrics."""
    inside = b"\x0a" + bytes([len(key)]) + key.encode() + number(2, value)
    return bytes([field << 3 | 2, len(inside)]) + inside
