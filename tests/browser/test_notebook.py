"""A notebook from the launcher to the bucket and back."""

from __future__ import annotations

import json

from .bucket import Bucket
from .jupyterlab import JupyterLab


def test_notebook_with_its_output_survives_save_rename_and_reload(
    lab: JupyterLab, bucket: Bucket
) -> None:
    lab.open()
    lab.new_notebook()
    lab.run("print('the answer is', 6 * 7)")
    lab.expect_output("the answer is 42")
    lab.save("first name.ipynb")
    lab.rename("first name.ipynb", "Übung 1.ipynb")
    lab.expect_no_dialog()
    lab.reload()
    lab.expect_output("the answer is 42")

    stored = json.loads(bucket.read("Übung 1.ipynb"))
    (output,) = stored["cells"][0]["outputs"]
    assert output["text"] == ["the answer is 42\n"]
    assert "first name.ipynb" not in bucket.paths()


def test_folder_is_renamed_under_an_open_notebook_without_a_question(
    lab: JupyterLab, bucket: Bucket
) -> None:
    lab.open()
    lab.new_folder("project")
    lab.enter_folder("project")
    lab.new_notebook()
    lab.run("1 + 1")
    lab.expect_output("2")
    lab.save("work.ipynb")
    lab.go_to_root()
    lab.rename("project", "renamed project")
    lab.run("40 + 2")
    lab.expect_output("42")
    lab.save()
    lab.expect_no_dialog()

    stored = json.loads(bucket.read("renamed project/work.ipynb"))
    assert "".join(stored["cells"][0]["source"]) == "40 + 2"
    assert not [key for key in bucket.paths() if key.startswith("project/")]


def test_notebook_that_another_tool_wrote_opens_runs_and_saves(
    lab: JupyterLab, bucket: Bucket, made_notebook: bytes
) -> None:
    bucket.put("other/deep/made.ipynb", made_notebook)
    lab.open()
    lab.enter_folder("other")
    lab.enter_folder("deep")
    lab.enter("made.ipynb")
    lab.wait_for_kernel()
    lab.run("print('run' + ' here')")
    lab.expect_output("run here")
    lab.save()
    lab.expect_no_dialog()
    assert b"run here" in bucket.read("other/deep/made.ipynb")


def test_save_over_the_change_of_another_tool_asks_first(
    lab: JupyterLab, bucket: Bucket, made_notebook: bytes
) -> None:
    bucket.put("shared.ipynb", made_notebook)
    lab.open()
    lab.enter("shared.ipynb")
    lab.wait_for_kernel()
    changed = made_notebook.replace(b"made elsewhere", b"changed elsewhere")
    bucket.put("shared.ipynb", changed)
    lab.run("'mine'")
    lab.press_save()
    lab.expect_dialog("File Changed")
    assert bucket.read("shared.ipynb") == changed
