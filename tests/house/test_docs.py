"""The pages of documentation: links lead somewhere, and named tests exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(#[^)\s]*)?\)")
_TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made on the web."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in _LINK.findall(page.read_text()):
        if path.startswith(("http://", "https://")):
            continue
        target = page if not path else (page.parent / path).resolve()
        assert target.exists(), f"{page.name}: {path}"
        if anchor and target.suffix == ".md":
            assert anchor[1:] in anchors(target), f"{page.name}: {path}{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_tests_exist(page: Path) -> None:
    for path, name in _TEST.findall(page.read_text()):
        tests = (ROOT / "tests" / path).read_text()
        assert re.search(rf"^(async )?def {name}\(", tests, re.MULTILINE), f"{path}::{name}"


def test_the_readme_links_every_page() -> None:
    linked = {path for path, _ in _LINK.findall((ROOT / "README.md").read_text())}
    pages = {f"docs/{page.name}" for page in ROOT.glob("docs/*.md")}
    assert pages <= linked, sorted(pages - linked)


def test_limits_are_constants_of_the_modules_named() -> None:
    for path in re.findall(r"`([\w/]+\.py)`", (ROOT / "docs/limits.md").read_text()):
        assert (ROOT / "gateway" / path).is_file(), path
