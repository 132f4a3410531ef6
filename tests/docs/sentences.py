"""The sentences of the program, as they stand in its source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.docs import ROOT

GAP = "…"
"""Stands for what is filled in, here and in the documentation."""

_FIELDS = re.compile(r"%(?:\.\d+)?[a-z]|\{[a-z]*(?:![a-z])?(?::[^}]*)?\}")
_SHORTEST = 8
"""Letters that a quote has to have: fewer would be found anywhere."""


@cache
def templates(module: Path) -> frozenset[str]:
    """Every text of a module but its docstrings, with `GAP` where something is filled in."""
    tree = ast.parse(module.read_text())
    named = dict(_constants(tree))
    skipped = {id(node) for node in _docstrings_and_parts(tree)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) not in skipped:
            found |= _variants(node, named)
    return frozenset(" ".join(text.split()) for text in found)


def of_package(package: str) -> frozenset[str]:
    """Those of all modules below a package of ours, given as a path."""
    modules = sorted((ROOT / package).rglob("*.py"))
    return frozenset().union(*(templates(module) for module in modules))


def stands_in(quote: str, template: str) -> bool:
    """Whether `quote` is that sentence, or a part of it that is marked as one by `GAP`."""
    if quote == template:
        return True
    core = quote.strip(f"{GAP} ")
    before, found, after = template.partition(core)
    whole_before = quote.startswith(GAP) or not before
    whole_after = quote.endswith(GAP) or not after
    return bool(found) and len(core) >= _SHORTEST and whole_before and whole_after


def rules(module: Path) -> list[str]:
    """The sentences of the table of errors of a provider: of each ``Rule``."""
    tree = ast.parse(module.read_text())
    named = dict(_constants(tree))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    sentences = [
        call.args[1]
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "Rule" and len(call.args) > 1
    ]
    return [_FIELDS.sub(GAP, text) for text in (_text(one, named) for one in sentences) if text]


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = _text(node.value, {})
            if text is not None:
                yield node.targets[0].id, text


def _docstrings_and_parts(tree: ast.Module) -> Iterator[ast.AST]:
    """What is no sentence of its own: docstrings, and the pieces of f-strings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value
        if isinstance(node, ast.JoinedStr):
            yield from (part for part in node.values if isinstance(part, ast.Constant))


def _variants(node: ast.AST, named: Mapping[str, str]) -> set[str]:
    """A text may be filled in later (by ``format``, or by the log), or be shown as it is."""
    text = _text(node, named)
    return set() if text is None else {text, _FIELDS.sub(GAP, text)}


def _text(node: ast.AST, named: Mapping[str, str]) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, named) or GAP for part in node.values)
    if isinstance(node, ast.Name):
        return named.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left, named), _text(node.right, named)
        return None if left is None and right is None else (left or GAP) + (right or GAP)
    return None
