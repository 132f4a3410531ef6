"""Names, paths, models and errors: the pure functions."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.web import HTTPError

from jupyter_nbforge.contents.errors import status_of
from jupyter_nbforge.contents.models import (
    api_path,
    file_model,
    free_name,
    hash_of,
    is_hidden_path,
)
from jupyter_nbforge.contents.notebooks import (
    decode_content,
    decode_file,
    decode_notebook,
    encode_notebook,
)
from jupyter_nbforge.storage import errors
from jupyter_nbforge.storage.paths import has_control_character, invalid_reason
from jupyter_nbforge.storage.types import ContentHash, ObjectMeta, Version

META = ObjectMeta(
    "a/b.ipynb", 3, datetime(2026, 1, 2, 3, 4, 5, 678901, timezone.utc), Version('"e"')
)


@given(st.text(alphabet=st.sampled_from("a./\\ ") | st.characters(), max_size=40))
def test_no_path_climbs_out_of_the_root(path: str) -> None:
    try:
        plain = api_path(path)
    except HTTPError as error:
        climbs = ".." in path.split("/") or path.strip("/\\").startswith((".nbforge", "./"))
        assert climbs or (error.status_code == 400 and has_control_character(path))  # noqa: PT017
    else:
        assert plain == "" or not {"..", ".", ""} & set(plain.split("/"))


@pytest.mark.parametrize(
    "path",
    ["..", "../a", "a/../../b", "a/..", ".nbforge", "/.nbforge/x", "\\.nbforge\\x", ".nbforge\\x"],
)
def test_what_lies_outside_or_is_ours_is_a_404(path: str) -> None:
    with pytest.raises(HTTPError) as refused:
        api_path(path)
    assert refused.value.status_code == 404


@pytest.mark.parametrize(
    ("path", "plain"), [("/a//b/", "a/b"), ("", ""), ("/", ""), ("./a/.", "a"), ("a b", "a b")]
)
def test_slashes_around_and_doubled_mean_nothing(path: str, plain: str) -> None:
    assert api_path(path) == plain


@pytest.mark.parametrize(
    ("name", "insert", "expected"),
    [
        ("Untitled.ipynb", "", "Untitled2.ipynb"),
        ("a.tar.gz", "-Copy", "a-Copy2.tar.gz"),
        ("Untitled Folder", " ", "Untitled Folder 2"),
        ("a.b.ipynb", "-Copy", "a.b-Copy2.ipynb"),
    ],
)
def test_names_are_numbered_as_jupyter_numbers_them(name: str, insert: str, expected: str) -> None:
    first = free_name(name, [name], insert)
    assert free_name(name, [name, first], insert) == expected
    assert free_name(name, [first], insert) == name


def test_the_hash_is_the_contents_own_or_else_the_version() -> None:
    assert hash_of(META) == ("e", "version")
    known = ObjectMeta(
        META.path, 3, META.last_modified, META.version, None, ContentHash("md5", "ff")
    )
    assert hash_of(known) == ("ff", "md5")
    assert file_model(known, "notebook")["hash"] is None
    assert file_model(known, "notebook", with_hash=True)["hash"] == "ff"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFoundError, 404),
        (errors.AlreadyExistsError, 409),
        (errors.PreconditionError, 409),
        (errors.InvalidPathError, 400),
        (errors.PermissionDeniedError, 403),
        (errors.UnauthenticatedError, 502),
        (errors.TooLargeError, 413),
        (errors.NotSupportedError, 501),
        (errors.StorageTimeoutError, 504),
        (errors.UnavailableError, 503),
        (errors.ConfigurationError, 500),
        (errors.StorageError, 500),
    ],
)
def test_every_storage_error_has_its_status(error: type[errors.StorageError], status: int) -> None:
    assert status_of(error("It failed.")) == status


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"3", b'{"cells": 1}', b'{"nbformat": "x"}', b'{"nbformat": 99}'],
)
def test_a_file_that_is_no_notebook_is_a_400(data: bytes) -> None:
    with pytest.raises(HTTPError) as refused:
        decode_notebook("a.ipynb", data)
    assert refused.value.status_code == 400


def test_a_notebook_that_is_not_utf_8_is_a_400() -> None:
    with pytest.raises(HTTPError) as refused:
        decode_notebook("a.ipynb", b"\xff{}")
    assert refused.value.status_code == 400


@pytest.mark.parametrize("content", [None, 3, "x", [], {}, {"cells": 1}, {"nbformat": 4}])
def test_content_that_is_no_notebook_is_a_400(content: object) -> None:
    with pytest.raises(HTTPError) as refused:
        encode_notebook("a.ipynb", content)
    assert refused.value.status_code == 400


@given(st.binary(max_size=60))
def test_every_file_comes_back_as_it_was(data: bytes) -> None:
    content, found = decode_file("f", data, None)
    assert decode_content("f", content, found) == data


@pytest.mark.parametrize(
    ("content", "format_"),
    [("!!", "base64"), ("abcde", "base64"), ("é", "base64"), ("\ud800", "text"), (3, "text")],
)
def test_content_that_cannot_be_decoded_whole_is_refused(content: object, format_: str) -> None:
    with pytest.raises(HTTPError) as refused:
        decode_content("f", content, format_)
    assert refused.value.status_code == 400


@given(st.text(max_size=30).map(lambda name: f"folder/{name}"))
def test_a_path_that_is_kept_is_one_that_a_storage_takes_or_names_wrong(path: str) -> None:
    try:
        plain = api_path(path)
    except HTTPError:
        return
    reason = invalid_reason(plain)
    assert reason is None or "control character" in reason or "\\" in plain


@pytest.mark.timeout(10)
def test_a_hostile_base64_is_refused_without_a_search_that_never_ends() -> None:
    with pytest.raises(HTTPError):
        decode_content("f", " " * 200_000 + "!", "base64")


@pytest.mark.parametrize("path", [".a", "a/.b/c", "a\\.b"])
def test_what_begins_with_a_dot_anywhere_is_hidden(path: str) -> None:
    assert is_hidden_path(path)
    assert not is_hidden_path(path.replace(".", "x."))
