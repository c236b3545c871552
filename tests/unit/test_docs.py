"""The docs: links lead somewhere, and the index of decisions is complete."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "decisions"
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "bench" / "README.md", ROOT / "sql" / "README.md"]
)


def anchors(page: Path) -> set[str]:
    """Name a page's headings as GitHub does."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Renamed pages and headings leave no dead link behind."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_is_in_an_index() -> None:
    """A page that no index lists is never found."""
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.parent != DECISIONS and path.name != "README.md"]
    missing = [path for path in pages if f"({path.relative_to(ROOT / 'docs')})" not in index]
    assert not missing


def test_the_index_of_decisions_has_every_title_and_status() -> None:
    index = (DECISIONS / "README.md").read_text("utf-8")
    records = sorted(DECISIONS.glob("0*.md"))
    assert len(records) >= 20
    for path in records:
        record = re.match(r"# (\d+)\. (.+)\n\nStatus: (.+)\n", path.read_text("utf-8"))
        assert record, path.name
        number, title, status = record.groups()
        plain_status = re.sub(r"\[(\d+)\]\([^)]*\)", r"\1", status)
        assert f"| [{number}]({path.name}) | {title} | {plain_status} |" in index


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(path.name[:4]) for path in sorted(DECISIONS.glob("0*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
