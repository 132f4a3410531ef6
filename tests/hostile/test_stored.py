"""Whatever another program has put into the bucket: it is shown or refused, and never changed."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_nbforge.storage.metadata import format_mtime, parse_mtime
from jupyter_nbforge.storage.paths import invalid_reason

from .documents import stored
from .raw_http import Reply, Request
from .strategies import as_json
from .world import NOTEBOOK, World

NOTEBOOKS = 150
KEYS = 40
"""Rounds at scale 1."""

ODD = [
    pytest.param(b"[" * 10_000_000, id="10 MB of ["),
    pytest.param(b'{"cells":' * 1_000_000, id="a million objects deep"),
    pytest.param(b'{"nbformat": 4, "cells": [' + b"{}," * 500_000, id="cut off after 1.5 MB"),
    pytest.param(b" " * 5_000_000 + NOTEBOOK, id="5 MB of blanks first"),
    pytest.param(NOTEBOOK.replace(b"text", b"\\ud800" * 300_000, 1), id="lone surrogates"),
    pytest.param(NOTEBOOK.replace(b"4", b"9" * 5_000, 1), id="a number of 5,000 digits"),
]


def use(world: World, path: str) -> None:
    """Everything that JupyterLab does with a notebook, ending with its deletion."""
    target = b"api/contents/" + quote(path, safe="").encode()
    shown = world.send(Request("GET", target + b"?content=1&hash=1"))
    for query in (b"?content=0&hash=1", b"?type=file&format=text", b"?type=file&format=base64"):
        world.send(Request("GET", target + query))
    world.send(Request("GET", b"files/" + quote(path).encode()))
    world.send(Request("POST", target + b"/trust"))
    if shown.status == 200:
        world.send(Request("GET", target))  # as what it is trusted for now
        _save(world, target, shown)
    for method, query, body in (
        ("POST", b"/checkpoints", None),
        ("GET", b"/checkpoints", None),
        ("POST", b"/checkpoints/checkpoint-1", None),
        ("POST", b"", {"copy_from": path}),
        ("PATCH", b"", {"path": path}),
        ("DELETE", b"", None),
    ):
        where = b"api/contents/" if query == b"" and method == "POST" else target + query
        world.send(Request(method, where, body=None if body is None else as_json(body)))


def _save(world: World, target: bytes, shown: Reply) -> None:
    model = {"type": "notebook", "format": "json", "content": shown.json["content"]}
    world.send(Request("PUT", target, body=json.dumps(model).encode()))


@pytest.mark.timeout(0)
@pytest.mark.stores("memory")
def test_no_notebook_crashes_the_server_or_is_lost(world: World, scale: int) -> None:
    @settings(
        max_examples=NOTEBOOKS * scale, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(stored)
    def run(data: bytes) -> None:
        world.begin({"n.ipynb": data})
        use(world, "n.ipynb")

    run()
    world.tell()


@pytest.mark.stores("memory", "seaweedfs")
@pytest.mark.parametrize("data", ODD)
def test_a_large_file_that_is_no_notebook_is_a_sentence(world: World, data: bytes) -> None:
    world.begin({"n.ipynb": data})
    use(world, "n.ipynb")
    assert world.answers()


_parts = st.one_of(
    st.sampled_from(
        ["a", "a.txt", "n.ipynb", "d", "", ".", "..", "\\..", "~", "CON", "\x01", "%2e"]
    ),
    st.text(max_size=4),
)
keys = st.one_of(
    st.lists(_parts, min_size=1, max_size=4).map("/".join),
    st.sampled_from(["a", "a/b", "/lead", "//", "a//b", "../x", "d/../x", "e/", "k" * 1_000]),
).filter(bool)


def _as_a_store_can_hold(keys: set[str]) -> set[str]:
    return {key for key in keys if len(key.encode("utf-8", "replace")) <= 1_000}


@pytest.mark.timeout(0)
@pytest.mark.stores("memory")
def test_no_key_crashes_the_server_and_what_is_no_path_is_never_touched(
    world: World, scale: int
) -> None:
    @settings(max_examples=KEYS * scale, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sets(keys, min_size=1, max_size=8).map(_as_a_store_can_hold))
    def run(found: set[str]) -> None:
        seed = {f"d/{key}": b"d" for key in found} | dict.fromkeys(found, b"x")
        world.begin(seed)
        world.manager.always_delete_dir = True
        go_through(world, sorted(seed))
        strange = {key: data for key, data in seed.items() if invalid_reason(key) is not None}
        still = {key: world.store.get(key) for key in strange}
        assert still == strange, "a key that is no path was touched"

    run()
    world.tell()


def go_through(world: World, keys: list[str]) -> None:
    """List, open, rename, copy and delete everything, by the names that the store has."""
    world.send(Request("GET", b"api/contents/"))
    world.send(Request("GET", b"api/contents/d"))
    for key in keys:
        target = quote(key.encode("utf-8", "surrogatepass")).encode()
        for query in (b"", b"?content=0&hash=1", b"?type=directory"):
            world.send(Request("GET", b"api/contents/" + target + query))
        world.send(Request("GET", b"files/" + target))
    moves: list[tuple[str, bytes, Any]] = [
        ("POST", b"", {"copy_from": "d"}),
        ("PATCH", b"d", {"path": "moved"}),
        ("POST", b"moved", {"type": "notebook"}),
        ("DELETE", b"moved", None),
    ]
    for method, target, body in moves:
        data = None if body is None else as_json(body)
        world.send(Request(method, b"api/contents/" + target, body=data))
    for key in keys:
        target = quote(key.encode("utf-8", "surrogatepass")).encode()
        body = as_json({"path": "renamed"})
        world.send(Request("PATCH", b"api/contents/" + target, body=body))
        world.send(Request("DELETE", b"api/contents/" + target))


@given(
    st.one_of(
        st.text(max_size=20),
        st.text("-.0123456789²١e_ ", max_size=20),
        st.sampled_from(["9" * 5_000, "-" + "9" * 18, "1." + "9" * 5_000, "253402300800", "1.²"]),
    )
)
def test_a_time_that_another_program_wrote_is_read_or_none(text: str) -> None:
    moment = parse_mtime(text)
    assert moment is None or parse_mtime(format_mtime(moment)) == moment
