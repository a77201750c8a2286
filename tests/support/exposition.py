"""Reads samples of metrics from their text."""

from prometheus_client.parser import text_string_to_metric_families as text_families

Samples = dict[tuple[str, ...], float]
"""Values by the values of their labels."""


def samples(text: bytes, name: str) -> Samples:
    """The samples of one name."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_families(text.decode())
        for sample in family.samples
        if sample.name == name
    }
