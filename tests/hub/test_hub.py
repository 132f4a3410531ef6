"""People of one JupyterHub, each with files of their own in one bucket, through its proxy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import SECRET, World, refused, saved
from .people import Answer, Person

pytestmark = pytest.mark.timeout(300)


def users(world: World) -> set[str]:
    """The keys of the bucket below users/, without those that are ours."""
    return {path for path in world.store.paths("users/") if "/.nbforge/" not in path}


def test_all_save_at_once_and_each_finds_only_what_they_saved(world: World) -> None:
    names = [f"work/{number}.ipynb" for number in range(4)]

    def work(person: Person) -> None:
        person.ask("PUT", "work", {"type": "directory"})
        for name in names:
            for text in ("first", f"of {person.name}"):
                saved(world, person.save(name, text))

    with ThreadPoolExecutor() as pool:
        list(pool.map(work, world.people))
    for person in world.people:
        assert [person.open(name) for name in names] == [f"of {person.name}"] * len(names)
        listed = person.ask("GET", "work").body["content"]
        assert sorted(model["path"] for model in listed) == names
        found = {path for path in users(world) if path.startswith(f"users/{person.name}/work/0")}
        assert found == {f"users/{person.name}/{names[0]}"}
    folders = {path.split("/")[1] for path in users(world)}
    assert folders == {person.name for person in world.people}


def test_nobody_uses_the_server_of_another_with_a_token(world: World) -> None:
    for owner in world.people:
        saved(world, owner.save("secret.ipynb", SECRET))
        for person in world.people:
            if person is not owner:
                model = {"type": "file", "format": "text", "content": "mine now"}
                for answer in (
                    person.ask("GET", "secret.ipynb", owner=owner),
                    person.ask("GET", "", owner=owner),
                    person.ask("PUT", "secret.ipynb", model, owner=owner),
                    person.ask("DELETE", "secret.ipynb", owner=owner),
                    person.ask_raw("GET", "files/secret.ipynb", owner=owner),
                    person.ask_raw("GET", "jupyter_nbforge/links/secret.ipynb", owner=owner),
                ):
                    refused(world, answer, 403)
        assert owner.open("secret.ipynb") == SECRET


def test_nobody_uses_the_server_of_another_with_the_cookies_of_a_browser(world: World) -> None:
    ada, bob = world.person("ada"), world.person("bob")
    own = ada.browser.get(f"{world.hub.endpoint_url}{ada.base()}lab", timeout=60)
    assert own.status_code == 200
    assert own.url.endswith(f"{ada.base()}lab")
    page = ada.browser.get(f"{world.hub.endpoint_url}{bob.base()}lab", timeout=60)
    refused(world, Answer(page.status_code, page.text), 403)
    page = ada.browser.get(f"{world.hub.endpoint_url}{bob.base()}api/contents", timeout=60)
    refused(world, Answer(page.status_code, page.text), 403)


@pytest.mark.parametrize(
    "target",
    [
        "../bob/secret.ipynb",
        "%2e%2e/bob/secret.ipynb",
        "%2e%2e%2fbob%2fsecret.ipynb",
        "..%2fbob/secret.ipynb",
        "..%5cbob%5csecret.ipynb",
        "%252e%252e/bob/secret.ipynb",
        "work/../../bob/secret.ipynb",
        "work/%2e%2e/%2e%2e/bob/secret.ipynb",
        "/bob/secret.ipynb",
        "%2fusers%2fbob%2fsecret.ipynb",
        "users/bob/secret.ipynb",
        "%00/../../bob/secret.ipynb",
        "%ef%bc%8e%ef%bc%8e/bob/secret.ipynb",
    ],
)
def test_no_path_leads_to_the_files_of_another(world: World, target: str) -> None:
    saved(world, world.person("bob").save("secret.ipynb", SECRET))
    before = users(world)
    for person in world.people:
        if person.name != "bob":
            for method in ("GET", "DELETE", "PATCH"):
                answer = person.ask_raw(method, f"api/contents/{target}")
                refused(world, answer, 400, 403, 404, 405)
            refused(world, person.ask_raw("GET", f"files/{target}"), 400, 403, 404)
            refused(world, person.ask_raw("GET", f"jupyter_nbforge/links/{target}"), 400, 403, 404)
    assert users(world) == before
    assert world.person("bob").open("secret.ipynb") == SECRET


@pytest.mark.parametrize("name", ["..", "a/../bob", "../bob", "%2e%2e", "", " "])
def test_the_hub_takes_no_name_that_is_no_part_of_a_path(world: World, name: str) -> None:
    with pytest.raises(AssertionError, match=r"40[03]"):
        world.newcomer(name)
    world.totals.refusals += 1


def test_a_name_in_capital_letters_is_the_same_person(world: World) -> None:
    ada = Person(world.hub, "ada")
    ada.log_in("ADA")
    assert ada.open("work/0.ipynb") == "of ada"


def test_the_server_of_a_name_that_could_lead_elsewhere_does_not_start(world: World) -> None:
    before = users(world)
    newcomer = world.newcomer("bob.")
    with pytest.raises(AssertionError, match="could lead to another user's files"):
        newcomer.start()
    world.totals.refusals += 1
    assert "ends with a dot, which some stores drop" in world.hub.log
    assert users(world) == before
