"""What becomes of people's work when the Hub restarts and servers come and go."""

from __future__ import annotations

import base64

import psutil  # type: ignore[import-untyped]
import pytest

from .conftest import GROUPS, NAMED, World, refused, saved
from .people import Person, notebook

pytestmark = pytest.mark.timeout(300)


def process_of(person: Person, server: str = "") -> psutil.Process:
    """The process of a server, by what it was told of itself."""
    own = f"{person.base(server)}"
    for process in psutil.process_iter():
        try:
            if process.environ().get("JUPYTERHUB_SERVICE_PREFIX") == own:
                return process
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    raise AssertionError(f"{own} has no process")


def test_servers_go_on_while_the_hub_restarts(world: World) -> None:
    for person in world.people:
        saved(world, person.save("through.ipynb", "before"))
    before = [process_of(person).pid for person in world.people]
    world.hub.stop()
    for person in world.people:
        saved(world, person.save("through.ipynb", "meanwhile"))
    world.hub.start()
    for person in world.people:
        assert person.open("through.ipynb") == "meanwhile"
        assert person.ask_hub("GET", "user").body["name"] == person.name
        saved(world, person.save("through.ipynb", "afterwards"))
    assert [process_of(person).pid for person in world.people] == before


def test_a_named_server_has_the_same_files_and_a_conflict_says_who_it_was(world: World) -> None:
    ada = world.person("ada")
    saved(world, ada.save("both.ipynb", "from the first"))
    assert ada.open("both.ipynb", server=NAMED) == "from the first"
    saved(world, ada.save("both.ipynb", "from the second", server=NAMED))
    model = {"type": "notebook", "content": notebook("from the first again")}
    conflict = ada.ask("PUT", "both.ipynb", model)
    assert conflict.status == 409
    assert "was changed in the store since it was opened here" in conflict.message
    assert conflict.message.count("by ada") == 1


def test_the_shared_folder_is_one_for_all_and_a_conflict_says_who_it_was(world: World) -> None:
    ada, bob = world.person("ada"), world.person("bob")
    saved(world, ada.save("shared/plan.ipynb", "from ada"))
    for person in world.people:
        assert person.open("shared/plan.ipynb") == "from ada"
    saved(world, bob.save("shared/plan.ipynb", "from bob"))
    conflict = ada.ask("PUT", "shared/plan.ipynb", {"type": "notebook", "content": notebook("x")})
    assert conflict.status == 409
    assert "by bob" in conflict.message
    assert bob.open("shared/plan.ipynb") == "from bob"
    assert "shared/plan.ipynb" in world.store.paths("shared/")


def test_each_group_has_a_folder_that_only_its_members_see(world: World) -> None:
    ada, bob, eve = map(world.person, ("ada", "bob", "eve"))
    saved(world, ada.save("teams/physics/data.ipynb", "of the group"))
    assert bob.open("teams/physics/data.ipynb") == "of the group"
    assert {model["name"] for model in ada.ask("GET", "teams").body["content"]} == set(GROUPS)
    assert [model["name"] for model in bob.ask("GET", "teams").body["content"]] == ["physics"]
    for person, group in ((eve, "physics"), (eve, "biology"), (bob, "biology")):
        refused(world, person.ask("GET", f"teams/{group}"), 404)
    assert "groups/physics/data.ipynb" in world.store.paths("groups/")


def test_a_stopped_server_leaves_nothing_open_and_the_next_has_all_that_was_saved(
    world: World,
) -> None:
    """As a culler stops it: in the middle of an upload that is a multipart upload already."""
    eve = world.person("eve")
    process = process_of(eve)
    ports = {item.laddr.port for item in process.net_connections() if item.status == "LISTEN"}
    piece = base64.b64encode(bytes(20 * 2**20)).decode()
    model = {"type": "file", "format": "base64", "content": piece}
    for number in (1, 2):
        saved(world, eve.ask("PUT", "large.bin", {**model, "chunk": number}))
    saved(world, eve.save("last.ipynb", "the last word"))
    assert world.uploads() == ["users/eve/large.bin"]
    eve.stop()
    psutil.wait_procs([process], timeout=30)
    assert not process.is_running()
    assert world.uploads() == []
    listening = {item.laddr.port for item in psutil.net_connections() if item.status == "LISTEN"}
    assert ports
    assert not ports & listening
    assert eve.base() not in (world.proxy.routes() or {})
    eve.start()
    assert eve.open("last.ipynb") == "the last word"
    assert eve.ask("GET", "large.bin").status == 404
