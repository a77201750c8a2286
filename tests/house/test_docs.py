"""The pages of documentation: links lead somewhere, and named tests exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(#[^)\s]*)?\)")
_TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")

_FREE_RELATIVE = re.compile(
    r"(?:^|[.:;]\s|[|>#\"]\s*)\**(?:What|Who|Whose|Whoever|Whatever) [a-z][^.?!:]*[.!:|]",
    re.MULTILINE,
)


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


def sentences(file: Path) -> str:
    text = file.read_text()
    return re.sub(r"^#+ .*$", "", text, flags=re.MULTILINE) if file.suffix == ".md" else text


def test_no_sentence_has_a_free_relative_as_its_subject() -> None:
    files = [*PAGES, *sorted(ROOT.glob("gateway/**/*.py"))]
    found = [
        (str(file.relative_to(ROOT)), one[0])
        for file in files
        for one in _FREE_RELATIVE.finditer(sentences(file))
    ]
    assert found == []


def test_a_free_relative_is_seen_and_a_question_is_none() -> None:
    assert _FREE_RELATIVE.search("It ends. Who waits\nfor it gets 503.")
    assert _FREE_RELATIVE.search("# What is lost is counted.")
    assert not _FREE_RELATIVE.search("It ends. Who waits for it?")
