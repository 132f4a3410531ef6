"""Requests that nobody means well: valid parts and hostile ones, mixed so that they get deep."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from tests.server.api import notebook_model, text_model

from .raw_http import Request
from .world import AMBIGUOUS, SEED

KNOWN = [*SEED, *AMBIGUOUS, "folder", "folder/d é", "empty", "missing.txt", "missing/a.txt", ""]

NAMES = [
    *("..", ".", "...", "../..", "..\\..", "\\", "/", "//", "/etc/passwd", "C:\\x", "\\\\host\\x"),
    *("CON", "nul.txt", "COM1", "aux.ipynb", "name.", "name ", " name", "~", "-rf", "*?<>|:\"'"),
    *("a\x00.txt", "\x00", "\x1b[31m", "a\r\nX-Evil: 1", "\x7f", "\x85", "tab\t", "\n"),
    *("\u202egpj.exe", "\u200b", "a\u200d.txt", "\ufeffn.ipynb", "\ufffd", "e\u0301", "🎉"),
    *("%2e%2e", "%2F", "%00", "%", "%s%n{0}", "${HOME}", "{username}", "#", "?", "&a=1;b"),
    *(".nbforge", ".nbforge/checkpoints", ".NBFORGE", ".ipynb_checkpoints", ".hidden", ".s3keep"),
    *("checkpoints", "trust", "untitled.txt", "Untitled.ipynb", "x" * 255, "y" * 2000, "ü" * 600),
    *("a/" * 400 + "a", "-Copy1.", "x-Copy1.txt", ".ipynb", "a.ipynb/", "n.ipynb/x", "a.txt/x"),
]

BROKEN_ESCAPES = [
    *(b"%ff", b"%c0%ae%c0%ae", b"%c3%28", b"%ed%a0%80", b"%f5%80%80%80", b"%", b"%2", b"%zz"),
    *(b"\xff", b"\xc3\xbc", b"%u002e", b";", b"%5c", b"%252e%252e%252f", b"%2e%2e%2f", b"%0d%0a"),
]

texts = st.text(st.characters(), max_size=12)
names = st.one_of(st.sampled_from(NAMES), texts)


def _joined(parts: Iterable[str]) -> str:
    return "/".join(parts)


FOLDERS = ["", "folder", "folder/d é", "empty", "both", "missing"]
paths = st.one_of(
    st.sampled_from(KNOWN),
    st.sampled_from(KNOWN),
    st.tuples(st.sampled_from(FOLDERS), names).map(_joined),
    st.lists(st.one_of(st.sampled_from(KNOWN), names), min_size=1, max_size=4).map(_joined),
)
"""Paths as text, lone surrogates included."""


def _quoted(path: str, way: str) -> bytes:
    data = path.encode("utf-8", "surrogatepass")
    if way == "twice":
        data = quote(data).encode()
    if way == "all":
        return "".join(f"%{byte:02X}" for byte in data).encode()
    return quote(data, safe="/\\" if way == "raw" else "/").encode()


def _mangled(target: bytes, junk: bytes, at: int) -> bytes:
    at = min(at, len(target))
    return target[:at] + junk + target[at:]


_plain_targets = st.builds(_quoted, paths, st.just("once"))
targets = st.one_of(
    *([_plain_targets] * 6),
    st.builds(_quoted, paths, st.sampled_from(["once", "twice", "all", "raw"])),
    st.builds(_mangled, _plain_targets, st.sampled_from(BROKEN_ESCAPES), st.integers(0, 12)),
)
"""Paths as they stand in a request line."""

# Bodies

DEPTHS = (50, 200, 400, 700, 950, 1_000, 3_000, 10_000)
_NESTED = re.compile(rb'"@nested-(list|dict)-(\d+)@"')


def as_json(value: Any) -> bytes:
    """JSON with NaN, lone surrogates as escapes, and markers as values of so many levels."""

    def nested(match: re.Match[bytes]) -> bytes:
        start, end = (b"[", b"]") if match[1] == b"list" else (b'{"a":', b"}")
        depth = int(match[2])
        return start * depth + b"1" + end * depth

    return _NESTED.sub(nested, json.dumps(value).encode())


def _marker(kind: str, depth: int) -> str:
    return f"@nested-{kind}-{depth}@"


nested = st.builds(_marker, st.sampled_from(["list", "dict"]), st.sampled_from(DEPTHS))
scalars = st.one_of(
    st.sampled_from([None, True, False, 0, 1, -1, -7, 1.5, "1", "", 2**63, -(2**200), 1e308]),
    st.sampled_from([float("nan"), float("inf"), 10**4200, "\ud800", "a\udfffb", "\x00", [], {}]),
    st.sampled_from(["text", "base64", "json", "file", "notebook", "directory", "x" * 5000]),
    names,
    nested,
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)

VALID: list[Any] = [
    text_model("text"),
    {"type": "file", "format": "base64", "content": "AAAA"},
    notebook_model("text"),
    {"type": "directory"},
    {**text_model("x"), "chunk": 1},
    {**text_model("x"), "chunk": 2},
    {**text_model("x"), "chunk": -1},
    {"type": "file", "format": "base64", "content": "AA=A"},
    {"copy_from": "a.txt"},
    {"copy_from": "folder"},
    {"path": "renamed.txt"},
    {"path": "folder/renamed.ipynb"},
    {"type": "notebook"},
    {"type": "file", "ext": ".py"},
    {"expires_in": 60, "content_type": "text/csv"},
]
_KEYS = ["type", "format", "content", "chunk", "copy_from", "path", "ext", "name", "expires_in"]


def _changed(model: dict[str, Any], changes: dict[str, Any], dropped: list[str]) -> dict[str, Any]:
    return {key: value for key, value in (model | changes).items() if key not in dropped}


models = st.builds(
    _changed,
    st.sampled_from(VALID),
    st.dictionaries(
        st.sampled_from([*_KEYS, "content_type"]), st.one_of(values, paths), max_size=2
    ),
    st.one_of(st.just([]), st.lists(st.sampled_from(_KEYS), max_size=2)),
)


def _renamed(path: str, key: str) -> dict[str, Any]:
    return {key: path}


RAW_BODIES = [
    *(b"", b"{", b"[", b"null", b"[]", b"[1]", b'"text"', b"1", b"-7", b"NaN", b"\xff", b"\x00"),
    *(b"\xef\xbb\xbf{}", '{"type": "file"}'.encode("utf-16"), b'{"type": "\xff"}', b"{}{}"),
    *(b"[" * 10_000, b'{"a":' * 10_000, b"1" * 5_000, b'{"type": 1e999}', b'{"type": "file",}'),
    b"[" * 100_000 + b"]" * 100_000,
]
bodies = st.one_of(
    st.sampled_from(VALID).map(as_json),
    st.builds(as_json, models),
    st.builds(as_json, models),
    st.builds(as_json, st.builds(_renamed, paths, st.sampled_from(["path", "copy_from"]))),
    st.builds(as_json, values),
    st.sampled_from(RAW_BODIES),
    st.binary(max_size=20),
)

# The rest of a request

_hostile_values = st.one_of(st.sampled_from(["", "0", "1", "-1", "2", "nan", "1e999"]), names)
_queries = st.lists(
    st.one_of(
        st.tuples(st.just("type"), st.sampled_from(["file", "notebook", "directory", "x", ""])),
        st.tuples(st.just("format"), st.sampled_from(["text", "base64", "json", ""])),
        st.tuples(st.sampled_from(["content", "hash", "download"]), st.sampled_from(["0", "1"])),
        st.tuples(
            st.just("expires_in"), st.sampled_from(["60", "0", "1_0", "１２", "-5", "1e400"])
        ),
        st.tuples(
            st.sampled_from(
                ["type", "format", "content", "hash", "download", "expires_in", "path", "_xsrf"]
            ),
            _hostile_values,
        ),
    ),
    max_size=3,
)


def _query(pairs: list[tuple[str, str]], junk: bytes) -> bytes:
    written = "&".join(
        f"{name}={quote(value.encode('utf-8', 'surrogatepass'), safe='')}" for name, value in pairs
    ).encode()
    return b"?" + written + junk if written or junk else b""


queries = st.one_of(
    *([st.just(b"")] * 3),
    st.builds(_query, _queries, st.just(b"")),
    st.builds(
        _query, _queries, st.sampled_from([b"&type=%ff", b"&=&&==", b"&a=%", b"?", b"&" * 99])
    ),
)

_RANGES = [
    *("bytes=0-1", "bytes=-1", "bytes=1-", "bytes=5-2", "bytes=-0", "bytes=0-0,2-3", "bytes=--1"),
    *("bytes=999999999999999999-", "bytes=" + "9" * 400 + "-", "bytes=-" + "9" * 18, "lines=1-2"),
    *("bytes=0-" + ",0-" * 5_000, "bytes=" + " " * 9_000 + "1-2", "bytes=１-２", "=", "bytes", ""),
]
_TAGS = [
    *("*", '"x"', 'W/"x"', '"', '""', '"="', '"=%ff%00"', '"=%0d%0aX: 1"', '"' * 9_000, "x", ""),
    *('"a", ' * 3_000, "W/" * 9_000, '"é"', '"=' + "%41" * 3_000 + '"', '"1"', "\x00", "*, *"),
]
_DATES = [
    *("Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "0", "-1", "", "now"),
    *(
        "Mon, 01 Jan 0001 00:00:00 +2300",
        "Sun, 99 Foo 99999 99:99:99 GMT",
        "1 Jan 2020",
        " , " * 900,
    ),
    *(
        "Thu, 01 Jan 1970 00:00:00 +9999",
        "Thu, 01 Jan " + "9" * 5_000 + " 00:00:00 GMT",
        "(" * 9_000,
    ),
]
_SENT = st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")
_header_texts = st.text(_SENT, max_size=30)
headers = st.lists(
    st.one_of(
        st.tuples(st.just("Range"), st.one_of(st.sampled_from(_RANGES), _header_texts)),
        st.tuples(
            st.sampled_from(["If-Match", "If-None-Match", "If-Range"]),
            st.one_of(st.sampled_from(_TAGS), _header_texts),
        ),
        st.tuples(
            st.sampled_from(["If-Modified-Since", "If-Unmodified-Since", "If-Range"]),
            st.one_of(st.sampled_from(_DATES), _header_texts),
        ),
        st.tuples(
            st.just("Content-Type"),
            st.sampled_from(["application/json", "multipart/form-data", "text/plain; charset=x"]),
        ),
        st.tuples(st.just("Sec-Fetch-Mode"), st.sampled_from(["navigate", "cors", "x"])),
    ),
    max_size=3,
).map(tuple)

_CHECKPOINTS = [
    *("checkpoint-1", "checkpoint-0", "checkpoint-99999", "checkpoint-1-1", "checkpoint", "-", "x"),
    *("checkpoint-1-99999999999999", "checkpoint-١", "..", "%2e%2e", "a%2Fb", "a.b", "%00", "%ff"),
    "z" * 2_000,
]
_ANY_METHOD = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]


def _request(
    methods: list[str],
    start: str,
    target: bytes,
    end: str,
    query: bytes,
    sent: tuple[tuple[str, str], ...],
    body: bytes,
    chance: int,
) -> Request:
    """One of the route's own methods, or now and then any other."""
    among = _ANY_METHOD if chance >= 95 else methods
    method = among[chance % len(among)]
    route = start.encode() + target + end.encode() + query
    return Request(method, route, sent, body if method in ("PUT", "POST", "PATCH") else None)


_NOTHING = st.just("")
_few_headers = st.one_of(st.just(()), st.just(()), headers)


def _route(
    methods: list[str],
    start: str,
    ends: st.SearchStrategy[str] = _NOTHING,
    sent: st.SearchStrategy[Any] = _few_headers,
) -> st.SearchStrategy[Request]:
    return st.builds(
        _request,
        st.just(methods),
        st.just(start),
        targets,
        ends,
        queries,
        sent,
        bodies,
        st.integers(0, 99),
    )


_contents = _route(["GET", "PUT", "POST", "PATCH", "DELETE"], "api/contents/")
_checkpoint_ids = st.one_of(st.just("checkpoint-1"), st.sampled_from(_CHECKPOINTS))
requests = st.one_of(
    *([_contents] * 4),
    _route(["GET", "POST"], "api/contents/", st.just("/checkpoints")),
    _route(
        ["POST", "DELETE"],
        "api/contents/",
        _checkpoint_ids.map(lambda name: f"/checkpoints/{name}"),
    ),
    _route(["POST"], "api/contents/", st.just("/trust")),
    *([_route(["GET", "HEAD"], "files/", sent=headers)] * 2),
    _route(["GET", "POST"], "jupyter_nbforge/links/"),
)
"""Any request to any route of ours, and to Jupyter's routes for contents."""
