"""Whether a notebook is valid: what nbformat says, at a fraction of the time where it is.

nbformat tries each cell as every kind of cell and each output as every kind of output; most
tries fail, and a failure is what costs. Here each is checked only as what it says it is. A
notebook that fails this is given to nbformat, whose answer and whose repairs then count.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema
import nbformat
from nbformat import v4
from traitlets.log import get_logger

from . import long_texts

_FORMAT = 4
_FIRST_MINOR_WITH_IDS = 5

Check = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Validation:
    """What a validation found: `plain` if the notebook is valid and was so without a repair.

    `error` holds what is wrong under ``ValidationError``, as nbformat leaves it there.
    """

    error: dict[str, Any]
    plain: bool = False


PLAIN = Validation({}, plain=True)


def check(notebook: Any) -> Validation:
    """Validate as `nbformat.validate`, by which missing and doubled ids of cells are replaced."""
    if is_plainly_valid(notebook):
        return PLAIN
    with long_texts.shortened(notebook):
        try:
            nbformat.validate(notebook)
        except nbformat.ValidationError as error:
            get_logger().error("Notebook JSON is invalid: %s", error)
            return Validation({"ValidationError": error})
    return Validation({})


def is_plainly_valid(notebook: Mapping[str, Any]) -> bool:
    """Whether it is valid without any repair; False also where only nbformat can tell."""
    minor = notebook.get("nbformat_minor")
    if notebook.get("nbformat") != _FORMAT or type(minor) is not int:
        return False
    checks = _checks_of(minor)
    if checks is None:
        return False
    try:
        checks.run(notebook)
    except (fastjsonschema.JsonSchemaException, LookupError, TypeError, AttributeError):
        return False
    return minor < _FIRST_MINOR_WITH_IDS or _ids_are_unique(notebook["cells"])


def _ids_are_unique(cells: list[Any]) -> bool:
    return len({cell["id"] for cell in cells}) == len(cells)


@dataclass(frozen=True, slots=True)
class _Checks:
    """Of one minor version: of the notebook without its cells, of cells, of outputs."""

    notebook: Check
    cells: Mapping[str, Check]
    outputs: Mapping[str, Check]

    def run(self, notebook: Mapping[str, Any]) -> None:
        cells = notebook["cells"]
        # What is no list is left there to be refused.
        self.notebook({**notebook, "cells": []} if isinstance(cells, list) else notebook)
        for cell in cells:
            self.cells[cell["cell_type"]](cell)
            for output in cell.get("outputs", ()):
                self.outputs[output["output_type"]](output)


@cache
def _checks_of(minor: int) -> _Checks | None:
    """None where there is no schema of that minor version, or not one of the known shape."""
    name = v4.nbformat_schema.get((_FORMAT, minor))
    if name is None:
        return None
    schema = json.loads((Path(v4.__file__).parent / name).read_text(encoding="utf-8"))
    definitions = copy.deepcopy(schema["definitions"])
    if definitions["code_cell"]["properties"]["outputs"]["items"] != {
        "$ref": "#/definitions/output"
    }:
        return None
    definitions["code_cell"]["properties"]["outputs"]["items"] = {}
    # Named by its draft as the whole is: a later one takes 4.0 for an integer.
    common = {"$schema": schema["$schema"], "definitions": definitions}
    return _Checks(
        fastjsonschema.compile(schema),
        _kinds(common, "cell", "cell_type"),
        _kinds(common, "output", "output_type"),
    )


def _kinds(common: Mapping[str, Any], name: str, tag: str) -> dict[str, Check]:
    """A check for each value of `tag`: the alternatives exclude each other by it."""
    definitions = common["definitions"]
    found: dict[str, Check] = {}
    for alternative in definitions[name]["oneOf"]:
        kind = definitions[alternative["$ref"].rpartition("/")[2]]
        (value,) = kind["properties"][tag]["enum"]
        found[value] = fastjsonschema.compile({**common, **alternative})
    return found
