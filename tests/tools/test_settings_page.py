"""The page of all settings."""

from tools.settings_page import page


def test_a_row_of_a_table_is_one_line() -> None:
    lines = page().splitlines()
    rows = [line for line in lines if "|" in line]
    assert len(rows) > 100
    assert [row for row in rows if not (row.startswith("|") and row.endswith("|"))] == []
