"""Two people, each with a browser and a server of their own, on the same files of one bucket."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, Route, expect

from tests.upstream.clouds import Cloud

from .bucket import Bucket
from .conftest import VIEWPORT, lab_server
from .jupyterlab import JupyterLab
from .server import JupyterProcess

# What the clouds answer to a condition is tested without a browser.
pytestmark = pytest.mark.parametrize("cloud", ["seaweedfs"], indirect=True, scope="module")


@dataclass
class Person:
    """Somebody's server, and their browser, which remembers JupyterLab's files."""

    server: JupyterProcess
    context: BrowserContext
    labs: list[JupyterLab] = field(default_factory=list)

    def open(self, path: str) -> JupyterLab:
        """Open JupyterLab on a notebook in a new tab, and wait until it can be edited."""
        lab = JupyterLab(self.context.new_page(), self.server)
        self.labs.append(lab)
        lab.open(path)
        lab.wait_for_kernel()
        return lab

    def save_unseen(self, path: str, text: str) -> None:
        """Save a text as the only cell of a notebook, by the server's API."""
        path = f"api/contents/{path}"
        model = self.server.request(path)
        model["content"]["cells"][0]["source"] = text
        self.server.request(path, "PUT", model)


@pytest.fixture(scope="module")
def people(
    browser: Browser, cloud: Cloud, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Person, Person]]:
    servers = [lab_server(cloud, tmp_path_factory.mktemp(name)) for name in ("ann", "ben")]
    with ThreadPoolExecutor() as both, ExitStack() as stack:
        for started in both.map(stack.enter_context, servers):
            assert started.url
        contexts = [browser.new_context(viewport=VIEWPORT) for _ in servers]
        ann, ben = map(Person, servers, contexts)
        yield ann, ben
        for context in contexts:
            context.close()


@pytest.fixture
def ann(people: tuple[Person, Person]) -> Iterator[Person]:
    yield people[0]
    _close(people[0])


@pytest.fixture
def ben(people: tuple[Person, Person]) -> Iterator[Person]:
    yield people[1]
    _close(people[1])


def _close(person: Person) -> None:
    while person.labs:
        lab = person.labs.pop()
        lab.page.close()
        assert not lab.failures, person.server.log


@pytest.fixture
def notebook(bucket: Bucket, made_notebook: bytes, request: pytest.FixtureRequest) -> str:
    """A notebook in a folder of the test's own."""
    path = f"{request.node.name.partition('[')[0]}/{request.node.callspec.id}.ipynb"
    bucket.put(path, made_notebook)
    return path


@pytest.mark.parametrize(
    ("choice", "kept"),
    [
        pytest.param("Revert", "ann wrote this", id="revert"),
        pytest.param("Overwrite", "ben wrote this", id="overwrite"),
    ],
)
def test_whoever_saves_second_is_asked_and_both_texts_exist_until_they_choose(
    ann: Person, ben: Person, bucket: Bucket, notebook: str, choice: str, kept: str
) -> None:
    hers, his = ann.open(notebook), ben.open(notebook)
    hers.edit("ann wrote this")
    hers.save()
    his.edit("ben wrote this")
    his.press_save()
    his.expect_dialog("File Changed")
    assert b"ann wrote this" in bucket.read(notebook)
    expect(his.code_cell()).to_have_text("ben wrote this")

    his.resolve(choice)
    expect(his.code_cell()).to_have_text(kept)
    assert kept.encode() in bucket.read(notebook)

    his.edit("ben goes on")
    his.save()
    his.expect_no_dialog()
    assert b"ben goes on" in bucket.read(notebook)


def test_save_between_the_look_and_the_save_of_another_is_told_in_a_sentence_and_then_asked(
    ann: Person, ben: Person, bucket: Bucket, notebook: str
) -> None:
    his = ben.open(notebook)

    overtaken = list[str]()

    def overtake(route: Route) -> None:
        if route.request.method == "PUT" and not overtaken:
            overtaken.append(route.request.url)
            ann.save_unseen(notebook, "ann was quicker")
        route.continue_()

    his.page.route("**/api/contents/**", overtake)
    his.edit("ben was slower")
    with his.page.expect_response(lambda answer: answer.request.method == "PUT") as refused:
        his.press_save()
    assert refused.value.status == 409
    dialog = his.expect_dialog("File Save Error")
    expect(dialog).to_contain_text("since it was opened here")
    assert b"ann was quicker" in bucket.read(notebook)

    his.answer("Close")
    expect(his.code_cell()).to_have_text("ben was slower")
    his.press_save()
    his.expect_dialog("File Changed")
    his.resolve("Overwrite")
    assert b"ben was slower" in bucket.read(notebook)


@pytest.mark.parametrize("gesture", ["deleted", "renamed"])
def test_whoever_saves_what_another_took_away_is_told_and_then_saves_it_where_it_was(
    ann: Person, ben: Person, bucket: Bucket, notebook: str, gesture: str
) -> None:
    his = ben.open(notebook)
    path = f"api/contents/{notebook}"
    if gesture == "deleted":
        ann.server.request(path, "DELETE")
    else:
        ann.server.request(path, "PATCH", {"path": f"{notebook}.moved.ipynb"})
    assert notebook not in bucket.paths()
    expect(his.code_cell()).to_be_visible()
    his.edit("ben still has it")
    his.press_save()
    his.expect_dialog("File Save Error")
    assert notebook not in bucket.paths()
    his.answer("Close")
    expect(his.code_cell()).to_have_text("ben still has it")
    his.save()
    his.expect_no_dialog()
    assert b"ben still has it" in bucket.read(notebook)
    if gesture == "renamed":
        assert b"made elsewhere" in bucket.read(f"{notebook}.moved.ipynb")


def test_renames_of_an_open_notebook_and_of_its_folder_raise_no_question(
    ann: Person, bucket: Bucket, notebook: str, scale: int
) -> None:
    folder, _, name = notebook.partition("/")
    hers = ann.open(notebook)
    for number in range(2 * scale):
        for place in (name, folder):
            new = f"{number} {place}"
            if place == folder:
                hers.go_to_root()
                hers.rename(folder, new)
                hers.enter_folder(new)
                folder = new
            else:
                hers.rename(name, new)
                name = new
            text = f"after {number} {place}"
            hers.edit(text)
            hers.save()
            hers.expect_no_dialog()
            assert text.encode() in bucket.read(f"{folder}/{name}")
