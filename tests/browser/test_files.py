"""Files that are no notebooks, through the file browser."""

from __future__ import annotations

from pathlib import Path

from .bucket import Bucket
from .jupyterlab import JupyterLab


def test_uploaded_file_arrives_byte_for_byte(
    lab: JupyterLab, bucket: Bucket, tmp_path: Path
) -> None:
    small, chunked = tmp_path / "small.csv", tmp_path / "chunked.bin"
    small.write_bytes(b"a,b\n1,2\n")
    # JupyterLab sends anything larger than 1 MiB in chunks.
    chunked.write_bytes(bytes(range(256)) * 4 * 2560)
    lab.open()
    lab.upload(small, chunked)
    lab.wait_for_uploads()
    assert bucket.read("small.csv") == small.read_bytes()
    assert bucket.read("chunked.bin") == chunked.read_bytes()


def test_downloaded_file_is_the_object_byte_for_byte(lab: JupyterLab, bucket: Bucket) -> None:
    data = bytes(range(256))
    bucket.put("to download.bin", data)
    lab.open()
    assert lab.download("to download.bin").read_bytes() == data


def test_text_file_is_edited_and_saved(lab: JupyterLab, bucket: Bucket) -> None:
    bucket.put("notes.txt", "première ligne\n".encode())
    lab.open()
    lab.enter_unseen("notes.txt")
    lab.type_at_end("second line\n")
    lab.save()
    lab.expect_no_dialog()
    assert bucket.read("notes.txt").decode() == "première ligne\nsecond line\n"


def test_deleted_file_is_gone_and_its_neighbours_stay(lab: JupyterLab, bucket: Bucket) -> None:
    for key in ("data", "data.txt", "data2/kept.txt"):
        bucket.put(f"neighbours/{key}", b"x")
    lab.open()
    lab.enter_folder("neighbours")
    lab.delete("data")
    assert bucket.paths() >= {"neighbours/data.txt", "neighbours/data2/kept.txt"}
    assert "neighbours/data" not in bucket.paths()
