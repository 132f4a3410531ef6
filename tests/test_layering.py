"""Each layer knows only those below it: the imports of the package, checked (design, section 2)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "jupyter_nbforge"
ROOT = Path(__file__).parent.parent / PACKAGE

BASE_MODULES = {
    *("base", "types", "errors", "facts", "metrics", "paths", "metadata", "loops", "options"),
    *("placeholders", "credentials", "diagnosis", "digests", "refusals", "threads", "transfer"),
    *("trials", "values", "workers"),
}
TOPS = {"contents", "copying", "testing"}
PROVIDERS = {"s3", "gcs", "azure", "local", "memory"}

MAY_IMPORT: dict[str, set[str]] = {
    "base": {"base"},
    **{provider: {"base", provider} for provider in PROVIDERS},
    "wrappers": {"base", "wrappers"},
    "factory": {"base", "factory", "wrappers"},
    "storage": {"base", "factory"},
    "contents": {"package", "contents", "storage", "base", "factory", "wrappers"},
    "copying": {"copying", "storage", "base", "factory", "wrappers", "local"},
    "testing": {"testing", "storage", "base", "factory", "wrappers", *PROVIDERS},
    "app": {
        "package",
        "app",
        "contents",
        "copying",
        "storage",
        "base",
        "factory",
        "wrappers",
        "testing",
    },
    "package": set(),
}
"""Which groups of modules a group may import; "app" is all that is above the contents."""

MAY_IMPORT_LATE = {"package": {"app"}}
"""What it may import besides, but only within functions: the package loads nothing by itself."""

OUTSIDE: dict[str, set[str]] = {
    "base": {"anyio", "cachetools", "prometheus_client", "traitlets", "typing_extensions"},
    **{provider: {"traitlets", "typing_extensions"} for provider in PROVIDERS},
    "wrappers": {"anyio", "cachetools", "stamina", "traitlets", "typing_extensions"},
    "factory": {"traitlets"},
    "storage": set(),
    "copying": set(),
    "package": set(),
}
"""Which packages of others a group may import when it is loaded; not listed: any but an SDK."""

SDK: dict[str, set[str]] = {
    "s3": {"aiobotocore", "botocore", "aiohttp", "types_aiobotocore_s3"},
    "gcs": {"google", "google_crc32c", "requests", "urllib3"},
    "azure": {"azure", "aiohttp"},
    "testing": {"botocore", "google_crc32c"},
}
"""What a group may import of an SDK, but only within functions and for the type checker."""

ALL_SDKS = {"aiobotocore", "botocore", "boto3", "google", "google_crc32c", "azure"}


@dataclass(frozen=True)
class Imported:
    """One imported module, and whether that happens when the importing module is loaded."""

    module: str
    line: int
    at_load: bool


def violations(root: Path) -> list[str]:
    """Each import below `root`, the directory of the package, that breaks a rule."""
    known = {module_of(file, root) for file in root.rglob("*.py")}
    found = []
    for file in sorted(root.rglob("*.py")):
        module = module_of(file, root)
        for imported in imports_of(file, module, known):
            reason = broken_rule(group_of(module), imported)
            if reason is not None:
                found.append(f"{file.relative_to(root)}:{imported.line} {reason}")
        if group_of(module) is None:
            found.append(f"{file.relative_to(root)} has no place in the layers")
    return found


def module_of(file: Path, root: Path) -> str:
    parts = (PACKAGE, *file.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def group_of(module: str) -> str | None:
    """The layer that a module of ours belongs to; None: none."""
    _, top, rest = (*module.split(".", 2), "", "")[:3]
    if top != "storage":
        return {"": "package"}.get(top, top if top in TOPS else "app")
    name = rest.split(".")[0]
    family = name.split("_")[0]
    if name in BASE_MODULES:
        return "base"
    if family in PROVIDERS:
        return family
    groups = {"": "storage", "wrappers": "wrappers", "factory": "factory", "mounts": "factory"}
    return groups.get(name)


def broken_rule(group: str | None, imported: Imported) -> str | None:
    """What is wrong with this import by a module of `group`; None: nothing."""
    if group is None:
        return None
    top = imported.module.split(".")[0]
    if top == PACKAGE:
        target = group_of(imported.module)
        late = MAY_IMPORT_LATE.get(group, set()) if not imported.at_load else set()
        allowed = target is None or target in MAY_IMPORT[group] | late
        return None if allowed else f"{group} imports {imported.module} ({target})"
    if top in sys.stdlib_module_names or (not imported.at_load and top in SDK.get(group, ())):
        return None
    allowed = top in OUTSIDE[group] if group in OUTSIDE else top not in ALL_SDKS
    return None if allowed else f"{group} imports {imported.module}"


def imports_of(file: Path, module: str, known: set[str]) -> Iterator[Imported]:
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node, at_load in walk(tree, at_load=True):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Imported(alias.name, node.lineno, at_load)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level]
            origin = ".".join([*(base if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                name = f"{origin}.{alias.name}"
                yield Imported(name if name in known else origin, node.lineno, at_load)


def walk(node: ast.AST, *, at_load: bool) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes, each with whether it is executed when the module is loaded."""
    for child in ast.iter_child_nodes(node):
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            later = child in node.body
        child_at_load = at_load and not later
        yield child, child_at_load
        yield from walk(child, at_load=child_at_load)


def test_no_import_goes_up_or_sideways() -> None:
    assert violations(ROOT) == []


GOOD = {
    "__init__.py": "import importlib\ndef f():\n    from .extension import X",
    "extension.py": "import tornado\nfrom .contents.manager import X\nfrom .handlers import Y",
    "handlers.py": "from .contents import manager",
    "cli/__init__.py": "from ..storage.factory import create",
    "contents/__init__.py": "",
    "contents/manager.py": "import jupyter_server\nfrom ..storage import X\nfrom . import models",
    "contents/models.py": "from ..storage.base import X",
    "storage/__init__.py": "from .base import X\nfrom .factory import create",
    "storage/base.py": "import traitlets\nfrom .types import X",
    "storage/types.py": "import datetime",
    "storage/factory.py": "from .wrappers import X\nfrom .options import Y",
    "storage/options.py": "from .errors import X",
    "storage/errors.py": "",
    "storage/s3.py": (
        "from typing import TYPE_CHECKING\nfrom .base import X\nfrom . import s3_values\n"
        "if TYPE_CHECKING:\n    from aiobotocore.session import S\n"
        "async def f():\n    import aiobotocore\n"
    ),
    "storage/s3_values.py": "from .types import X",
    "storage/memory.py": "from .base import X",
    "storage/wrappers/__init__.py": "from .retry import X",
    "storage/wrappers/retry.py": "import stamina\nfrom ..base import X\nfrom . import limit",
    "storage/wrappers/limit.py": "",
    "testing/__init__.py": "import pytest\nfrom ..storage.memory import X",
}

BAD = {
    "base to a higher module": ("storage/base.py", "from .factory import create"),
    "base to a provider": ("storage/types.py", "from . import memory"),
    "base to a wrapper": ("storage/paths.py", "from .wrappers.base import X"),
    "base to tornado": ("storage/errors.py", "import tornado.web"),
    "base to an SDK, though late": ("storage/base.py", "def f():\n    import botocore"),
    "base to the contents, though late": (
        "storage/metadata.py",
        "def f():\n    from ..contents import models",
    ),
    "base to the package's own door": ("storage/types.py", "from . import X"),
    "provider to another": ("storage/s3.py", "from .memory import X"),
    "provider to another, though late": ("storage/s3.py", "def f():\n    from . import memory"),
    "part of a provider to another": ("storage/s3_values.py", "from .memory import X"),
    "provider to a wrapper": ("storage/memory.py", "from .wrappers.retry import X"),
    "provider to jupyter_server": ("storage/local.py", "import jupyter_server"),
    "provider to its SDK at load": ("storage/s3.py", "import aiobotocore"),
    "provider to its SDK in a class body": (
        "storage/s3.py",
        "class A:\n    from botocore.x import Y",
    ),
    "provider to its SDK under else": (
        "storage/s3.py",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import botocore",
    ),
    "provider to the SDK of another": ("storage/gcs.py", "def f():\n    import botocore"),
    "wrapper to a provider": ("storage/wrappers/limit.py", "from ..memory import X"),
    "wrapper to the factory": ("storage/wrappers/limit.py", "from ..factory import X"),
    "wrapper to the package's own door": ("storage/wrappers/limit.py", "from .. import X"),
    "wrapper to jupyter_server": ("storage/wrappers/limit.py", "import jupyter_server"),
    "factory to a provider": ("storage/factory.py", "from .s3 import X"),
    "factory to the contents": ("storage/factory.py", "from jupyter_nbforge.contents import X"),
    "contents to the extension": ("contents/models.py", "from ..extension import X"),
    "contents to the handlers": ("contents/models.py", "import jupyter_nbforge.handlers"),
    "contents to the command": ("contents/models.py", "from .. import cli"),
    "contents to a provider": ("contents/models.py", "from ..storage.s3 import X"),
    "contents to an SDK": ("contents/models.py", "import botocore"),
    "extension to an SDK": ("extension.py", "def f():\n    import google.cloud.storage"),
    "the package to the extension at load": ("__init__.py", "from .extension import X"),
    "test tools to an SDK at load": ("testing/__init__.py", "import botocore"),
    "test tools to the contents": ("testing/__init__.py", "from ..contents import models"),
    "a module without a place": ("storage/helpers.py", ""),
}


def write_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_the_check_passes_a_tree_without_fault(tmp_path: Path) -> None:
    assert violations(write_tree(tmp_path, GOOD)) == []


@pytest.mark.parametrize("fault", BAD)
def test_the_check_sees_an_arrow_from(fault: str, tmp_path: Path) -> None:
    name, text = BAD[fault]
    found = violations(write_tree(tmp_path, {**GOOD, name: text}))
    assert len(found) == 1
    assert found[0].startswith(name)
