"""The table of metrics in the documentation is that of the definitions."""

from tools.metrics_page import PAGE, page


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text()
    assert page(text) == text, "run python -m tools.metrics_page"
