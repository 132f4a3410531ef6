"""Each sentence on the page is one that the program says, and the tables of errors are whole."""

from __future__ import annotations

import re

import pytest

from tests.docs import DOCS, ROOT
from tests.docs.sentences import of_package, rules, stands_in

_ROW = re.compile(r"^\| (?!it says|---)(.+?) \| (.+) \|$", re.MULTILINE)


def quotes() -> list[str]:
    """What stands in the first columns of the page."""
    page = (DOCS / "troubleshooting.md").read_text()
    return [quote for quote, _ in _ROW.findall(page)]


def is_said(quote: str) -> bool:
    return any(stands_in(quote, sentence) for sentence in of_package("jupyter_nbforge"))


def test_the_page_quotes_only_sentences_of_the_program() -> None:
    found = quotes()
    assert len(found) > 100
    assert [quote for quote in found if not is_said(quote)] == []


@pytest.mark.parametrize(
    "invented",
    [
        "The bucket … does not exist at …; check the weather.",
        "The bucket … does not exist",
        "bucket … does not exist at …; check storage_url.",
        "… is on fire …",
        "… again …",
    ],
)
def test_an_invented_or_shortened_sentence_is_noticed(invented: str) -> None:
    assert not is_said(invented)


def test_no_sentence_stands_on_the_page_twice() -> None:
    found = quotes()
    assert sorted(found) == sorted(set(found))


@pytest.mark.parametrize("provider", ["s3", "gcs", "azure"])
def test_every_sentence_of_a_table_of_errors_is_on_the_page(provider: str) -> None:
    found = rules(ROOT / f"jupyter_nbforge/storage/{provider}_errors.py")
    assert len(found) > 20
    shown = quotes()
    assert [text for text in found if not any(stands_in(quote, text) for quote in shown)] == []


def test_the_place_that_was_linked_to_leads_here() -> None:
    section = (DOCS / "configuration.md").read_text().partition("\n## Errors\n")[2]
    assert "(troubleshooting.md)" in section
