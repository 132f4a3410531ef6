"""What the tests of this directory say: requests to the contents API, and the store behind it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.upstream.other_client import OtherClient

Model = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, of whatever status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The sentence that JupyterLab shows."""
        return str(self.json["message"])


class Api:
    """The contents API of the server under test; methods that return a model expect success."""

    def __init__(self, fetch: Callable[..., Awaitable[Any]]) -> None:
        self._fetch = fetch

    async def call(self, method: str, *parts: str, body: Any = None, **options: Any) -> Answer:
        """Any request to the server; a body that is neither str nor bytes is sent as JSON."""
        if body is not None and not isinstance(body, str | bytes):
            body = json.dumps(body)
        answer = await self._fetch(
            *parts,
            method=method,
            body=body,
            allow_nonstandard_methods=True,
            raise_error=False,
            **options,
        )
        return Answer(answer.code, answer.headers, answer.body or b"")

    async def contents(
        self, method: str, path: str = "", body: Any = None, **params: Any
    ) -> Answer:
        """A request for `path`, which may end in one of the API's own words."""
        return await self.call(method, "api", "contents", path, body=body, params=params)

    async def get(self, path: str = "", **params: Any) -> Model:
        """The model of a path."""
        return _expect(await self.contents("GET", path, **params), 200)

    async def names(self, path: str = "") -> list[str]:
        """The names of what a folder shows, sorted."""
        return sorted(entry["name"] for entry in (await self.get(path))["content"])

    async def save(self, path: str, model: Model) -> Model:
        """Save, as a client does: 201 for what is new, 200 else."""
        return _expect(await self.contents("PUT", path, model), 200, 201)

    async def save_text(self, path: str, text: str) -> Model:
        """Save a text file."""
        return await self.save(path, text_model(text))

    async def make_folder(self, path: str) -> Model:
        """Make a folder by name."""
        return await self.save(path, {"type": "directory"})

    async def rename(self, path: str, new_path: str) -> Model:
        """Rename a file or a folder."""
        return _expect(await self.contents("PATCH", path, {"path": new_path}), 200)

    async def delete(self, path: str) -> None:
        """Delete a file or a folder."""
        answer = await self.contents("DELETE", path)
        assert answer.status == 204, answer.body

    async def text(self, path: str) -> str:
        """What a text file says."""
        return str((await self.get(path, type="file", format="text"))["content"])


def _expect(answer: Answer, *statuses: int) -> Model:
    assert answer.status in statuses, (answer.status, answer.body)
    model: Model = answer.json
    return model


@dataclass
class Store:
    """The store behind the server: `client` sees all of it, the methods only the root's part."""

    name: str
    client: OtherClient
    area: str
    """A prefix that holds this test's root, and what lies outside the root."""

    settings: dict[str, Any]

    @property
    def prefix(self) -> str:
        """The prefix of the root."""
        return f"{self.area}/root/"

    def put(self, path: str, data: bytes | str = b"") -> None:
        """Another program writes an object."""
        self.client.write(self.prefix + path, data.encode() if isinstance(data, str) else data)

    def get(self, path: str) -> bytes | None:
        """What another program reads."""
        return self.client.read(self.prefix + path)

    def remove(self, path: str) -> None:
        """Another program deletes an object."""
        self.client.delete(self.prefix + path)

    def paths(self, *, hidden: bool = False) -> list[str]:
        """All the objects of the root, by default without those under a hidden name."""
        inside = [path[len(self.prefix) :] for path in self.client.paths(self.prefix)]
        return [path for path in inside if hidden or not path.startswith(".nbforge/")]


def text_model(text: str) -> Model:
    """The model with which a client saves a text file."""
    return {"type": "file", "format": "text", "content": text}


def notebook_model(*sources: str) -> Model:
    """The model with which a client saves a notebook with these markdown cells."""
    cells = [new_markdown_cell(source) for source in sources]
    return {"type": "notebook", "format": "json", "content": new_notebook(cells=cells)}


def notebook_with_output() -> Model:
    """A notebook whose one output is shown only if it is trusted."""
    output = new_output("display_data", {"text/html": "<script>1</script>"})
    cell = new_code_cell("1", outputs=[output])
    return {"type": "notebook", "format": "json", "content": new_notebook(cells=[cell])}
