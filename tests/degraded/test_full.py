"""A store without room: a 507 with a sentence, the old file whole, and no restart later."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from tests.server.api import Api, Store, text_model

from .gestures import fill, is_sentence, untouched, writes
from .proxy import DegradedProxy

ADDS = ("save", "save a notebook", "save under a new name", "new notebook", "new folder", "upload")


async def test_what_does_not_fit_is_a_507_with_a_sentence_and_the_old_file_stays(
    api: Api, store: Store, proxy: DegradedProxy
) -> None:
    fill(store)
    await api.text("a.txt")
    proxy.refusal = "full"
    for name in ADDS:
        answer = await writes(api)[name]()
        assert answer.status == 507, (name, answer)
        assert is_sentence(answer.message), answer.message
        assert "full" in answer.message
    assert untouched(store)
    # Room is no matter of permissions: JupyterLab would not try again to save what is read-only.
    assert (await api.get("a.txt"))["writable"]
    proxy.refusal = None
    await api.save_text("a.txt", "fits again")
    assert store.get("a.txt") == b"fits again"


@pytest.fixture
def disk(tmp_path: Any) -> Any:
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


class TestDisk:
    """The same of a directory."""

    @pytest.fixture
    def jp_server_config(self, disk: Any) -> Any:
        return {
            "ServerApp": {
                "contents_manager_class": "jupyter_nbforge.NBForgeContentsManager",
                "jpserver_extensions": {"jupyter_nbforge": True},
            },
            "NBForgeContentsManager": {"storage_url": f"file://{disk}"},
        }

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    async def test_a_full_disk_is_a_507_with_a_sentence_and_the_old_file_stays(
        self, api: Api, disk: Any, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        (disk / "a.txt").write_text("old")

        def full(descriptor: int) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            answer = await api.contents("PUT", "a.txt", text_model("new"))
            assert answer.status == 507
            assert is_sentence(answer.message)
        assert [path.name for path in disk.iterdir()] == ["a.txt"]
        assert (disk / "a.txt").read_text() == "old"
        await api.save_text("a.txt", "fits again")
        assert (disk / "a.txt").read_text() == "fits again"
