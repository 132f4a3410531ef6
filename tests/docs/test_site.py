"""The documentation: the site is built without a warning, and nothing is left out of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_nbforge import NBForgeCheckpoints, NBForgeContentsManager
from jupyter_nbforge.storage.factory import STACK
from jupyter_nbforge.storage.s3 import S3Storage

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BUILD = ("-m", "sphinx", "-W", "--keep-going", "-n", "-q", "docs")

_TOCTREE = re.compile(r"```\{toctree\}\n(?::.*\n)*\n((?:.+\n)+)```")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built; every warning is an error."""
    target = tmp_path_factory.mktemp("site")
    where = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": ""}
    done = subprocess.run(
        [sys.executable, *BUILD, str(target / "html"), "-d", str(target / "trees")],
        cwd=ROOT,
        env={**os.environ, **where},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return target / "html"


def pages() -> set[str]:
    return {page.stem for page in DOCS.glob("*.md")}


def test_every_page_is_in_a_toctree_of_the_index() -> None:
    found = _TOCTREE.findall((DOCS / "index.md").read_text())
    listed = [name for names in found for name in names.split()]
    assert sorted(listed) == sorted(pages() - {"index"})


def test_every_page_becomes_a_page_of_the_site(site: Path) -> None:
    assert {page.stem for page in site.glob("*.html")} >= pages()


def test_every_option_of_ours_is_in_the_reference(site: Path) -> None:
    shown = (site / "reference-options.html").read_text()
    for cls in (NBForgeContentsManager, NBForgeCheckpoints, S3Storage, *STACK):
        section = shown.partition(f'<section id="{cls.__name__.lower()}">')[2]
        for name, trait in cls.class_traits(config=True).items():
            if str(getattr(trait.this_class, "__module__", "")).startswith("jupyter_nbforge"):
                assert f">{name}</span>" in section.split("<h2>")[1], f"{cls}.{name}"


def test_the_first_page_says_what_the_readme_says(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "get-started.html").read_text())
    shown = " ".join(text.split())
    readme = (ROOT / "README.md").read_text().partition("## Development")[0]
    headings = re.findall(r"^##+ (.*)$", readme, re.MULTILINE)
    assert headings
    for heading in headings:
        assert heading in shown


def test_every_link_between_files_leads_to_one() -> None:
    """On a forge that shows the Markdown as it is, too."""
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.glob("*.md")]:
        for target in _LINK.findall(_FENCE.sub("", page.read_text())):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
