"""jupytext's contents manager, which it derives from ours when the server starts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from nbformat import reads
from nbformat.v4 import new_code_cell, new_notebook, new_output
from traitlets.config import Config

from tests.addons import JUPYTEXT, installed

from .api import Api, Model, Store

pytestmark = [
    pytest.mark.stores("memory", "seaweedfs"),
    # How jupytext names its function.
    pytest.mark.filterwarnings("ignore:A `_load_jupyter_server_extension` function was not found"),
]

PAIRED = "ipynb,py:percent"

SCRIPT = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# A title

# %%
1 + 1
"""


@pytest.fixture
def jp_server_config(jp_server_config: Config, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.syspath_prepend(str(installed(JUPYTEXT)))
    jp_server_config.ServerApp.jpserver_extensions = {
        "jupyter_nbforge": True,
        "jupyterlab_jupytext": True,
    }
    return jp_server_config


def paired_model(source: str, formats: str = PAIRED) -> Model:
    """A notebook of one cell that has run, kept in two files."""
    output = new_output("stream", name="stdout", text="the output\n")
    notebook = new_notebook(
        cells=[new_code_cell(source, id="one", execution_count=1, outputs=[output])],
        metadata={
            "jupytext": {"formats": formats},
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        },
    )
    return {"type": "notebook", "format": "json", "content": notebook}


async def look(api: Api, path: str) -> Model:
    """JupyterLab's look before and after a save."""
    return await api.get(path, type="notebook", content=0, hash=1)


def source_of(model: Model) -> str:
    """The code of a notebook's only cell."""
    (cell,) = model["content"]["cells"]
    return str(cell["source"])


async def test_the_manager_is_jupytexts_around_ours(manager: Any) -> None:
    names = [kind.__name__ for kind in type(manager).__mro__]
    assert names[0] == "AsyncJupytextContentsManager"
    assert "NBForgeContentsManager" in names


async def test_a_script_opens_and_saves_as_a_notebook(api: Api, store: Store) -> None:
    store.put("folder/script.py", SCRIPT)
    model = await api.get("folder/script.py", type="notebook", content=1, hash=1)
    assert model["hash"]
    markdown, code = model["content"]["cells"]
    assert (markdown["source"], code["source"]) == ("A title", "1 + 1")
    code["source"] = "2 + 2"
    await api.save("folder/script.py", {**model, "type": "notebook"})
    stored = store.get("folder/script.py")
    assert stored is not None
    assert b"# %%\n2 + 2\n" in stored
    assert store.paths() == ["folder/script.py"]


async def test_a_paired_notebook_is_kept_in_both_files_and_opens_from_both(
    api: Api, store: Store
) -> None:
    await api.save("pair.ipynb", paired_model("print('the output')"))
    assert store.paths() == ["pair.ipynb", "pair.py"]
    notebook = reads((store.get("pair.ipynb") or b"").decode(), as_version=4)
    assert notebook.cells[0].outputs[0].text == "the output\n"
    script = (store.get("pair.py") or b"").decode()
    assert "# %%\nprint('the output')\n" in script
    for path in store.paths():
        model = await api.get(path, type="notebook", content=1, hash=1)
        assert source_of(model) == "print('the output')"
        assert model["content"]["cells"][0]["outputs"][0]["text"] == "the output\n"
        assert model["hash"] == (await look(api, path))["hash"]


@pytest.mark.settings({"ShortMemoryStorage": {"seconds": 0.0}})
async def test_the_script_of_a_pair_changed_by_another_program_is_shown_with_its_outputs(
    api: Api, store: Store
) -> None:
    await api.save("pair.ipynb", paired_model("1 + 1"))
    before = await look(api, "pair.ipynb")
    store.put("pair.py", (store.get("pair.py") or b"").replace(b"1 + 1", b"2 + 2"))
    assert (await look(api, "pair.ipynb"))["hash"] != before["hash"]
    model = await api.get("pair.ipynb", type="notebook", content=1)
    assert source_of(model) == "2 + 2"


@pytest.mark.parametrize("changed", ["pair.ipynb", "pair.py"])
async def test_a_save_over_a_change_of_one_of_the_pair_is_a_409_and_both_texts_survive(
    api: Api, store: Store, changed: str
) -> None:
    await api.save("pair.ipynb", paired_model("mine"))
    theirs = (store.get(changed) or b"").replace(b"mine", b"theirs")
    store.put(changed, theirs)
    answer = await api.contents("PUT", "pair.ipynb", paired_model("mine again"))
    assert answer.status == 409
    assert "since it was opened here" in answer.message
    assert store.get(changed) == theirs
    # With the look that comes before it the person decides, and a save goes over both.
    await look(api, "pair.ipynb")
    await api.save("pair.ipynb", paired_model("mine at last"))
    for path in store.paths():
        assert b"mine at last" in (store.get(path) or b"")


async def test_saving_again_and_again_shows_the_same_hash_before_and_after(
    api: Api, store: Store
) -> None:
    """A hash that changes by itself is JupyterLab's "File Changed" for nothing."""
    known = (await api.save("pair.ipynb", paired_model("0")))["hash"]
    for number in range(1, 4):
        assert (await look(api, "pair.ipynb"))["hash"] == known
        saved = await api.save("pair.ipynb", paired_model(str(number)))
        known = (await look(api, "pair.ipynb"))["hash"]
        assert saved["hash"] == known


async def test_a_renamed_pair_moves_together_and_keeps_its_hash(api: Api, store: Store) -> None:
    await api.make_folder("d")
    await api.save("d/pair.ipynb", paired_model("1 + 1"))
    known = (await look(api, "d/pair.ipynb"))["hash"]
    renamed = await api.rename("d/pair.ipynb", "d/moved.ipynb")
    assert renamed["hash"] == known
    assert [path for path in store.paths() if not path.endswith("/")] == [
        "d/moved.ipynb",
        "d/moved.py",
    ]
    assert (await look(api, "d/moved.ipynb"))["hash"] == known
    saved = await api.save("d/moved.ipynb", paired_model("2 + 2"))
    assert saved["path"] == "d/moved.ipynb"


@pytest.mark.parametrize("folder", ["", "folder"])
@pytest.mark.parametrize("ext", [".ipynb", ".py"])
async def test_new_notebooks_get_the_first_free_names(
    api: Api, store: Store, folder: str, ext: str
) -> None:
    store.put("folder/other.txt", "x")
    taken = f"{folder}/Untitled{ext}".lstrip("/")
    store.put(taken, "theirs")
    body = {"type": "notebook", "ext": ext}
    first, second = [await api.contents("POST", folder, body) for _ in range(2)]
    assert (first.status, second.status) == (201, 201), (first.body, second.body)
    assert first.json["name"] == f"Untitled1{ext}"
    assert second.json["name"] == f"Untitled2{ext}"
    assert store.get(taken) == b"theirs"


async def test_new_notebooks_at_once_overwrite_nothing(api: Api, store: Store) -> None:
    body = {"type": "notebook"}
    answers = await asyncio.gather(*(api.contents("POST", "", body) for _ in range(5)))
    assert sorted(answer.json["name"] for answer in answers) == [
        "Untitled.ipynb",
        *(f"Untitled{number}.ipynb" for number in range(1, 5)),
    ]


async def test_a_dozen_configuration_files_are_looked_for_by_one_listing_of_each_folder(
    api: Api, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.put("a/b/script.py", SCRIPT)
    caplog.clear()
    await api.get("a/b/script.py", type="notebook", content=1, hash=1)
    messages = [record.getMessage().partition(",")[0] for record in caplog.records]
    asked = [message for message in messages if message.startswith(("head ", "list_pages "))]
    assert asked == [f"list_pages '{store.prefix}{folder}'" for folder in ("a/b/", "a/", "")]
