"""Which paths can be names of blobs: Azure stores some names under another one."""

from __future__ import annotations

from . import paths
from .errors import InvalidPathError
from .paths import DELIMITER


def invalid_reason(path: str) -> str | None:
    r"""As `paths.invalid_reason`; also for a name that Azure would change without a word.

    It takes ``a\b`` for ``a/b`` and ``a.`` for ``a``, and writes over what is there.
    https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata#blob-names
    https://github.com/microsoft/AzureStorageExplorer/issues/1133
    """
    reason = paths.invalid_reason(path)
    if reason is None and "\\" in path:
        reason = "Azure takes a backslash for a slash"
    if reason is None and any(segment.endswith(".") for segment in path.split(DELIMITER)):
        reason = "Azure drops a dot at the end of a name"
    return reason


def check_path(path: str) -> str:
    """`path` itself, or `InvalidPathError`."""
    reason = invalid_reason(path)
    if reason is not None:
        raise InvalidPathError(f"{path!r} is not a valid path: {reason}.", path=path)
    return path
