"""Tests the pages of the site: each is in its contents, and nothing of them comes from another host."""

from __future__ import annotations

import re

from pages import PAGES, ROOT, text_of

DOCS = ROOT / "docs"


def test_every_page_is_in_the_contents_once() -> None:
    listed = re.findall(r'"([\w-]+\.md)"', text_of("zensical.toml"))
    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md"))


def test_every_file_that_a_page_leads_to_is_there() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def test_nothing_comes_from_another_host() -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        assert not re.search(r"!\[[^]]*\]\(https?:|<(script|link|img)\b", text), page.name
    for file in (DOCS / ".theme").glob("*.html"):
        assert "http" not in file.read_text("utf-8")
    assert "font = false" in text_of("zensical.toml")
    for style in (DOCS / "assets").glob("*.css"):
        assert "url(" not in style.read_text("utf-8")


def test_a_picture_is_made_for_light_and_for_dark() -> None:
    for picture in (DOCS / "images").glob("*.svg"):
        assert "prefers-color-scheme: dark" in picture.read_text("utf-8"), picture.name
