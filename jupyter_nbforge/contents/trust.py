"""Signing notebooks, as Jupyter does it, without holding the event loop.

The digest over the whole notebook is computed in a worker thread. The signature store is
one row of a database whose connection belongs to the thread that opened it, so that part
stays where the manager lives.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

from nbformat.sign import NotebookNotary

from . import long_texts

_STRANGE_SHAPE = (
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What nbformat's functions end in on a notebook that is invalid, holds text that is no
Unicode, or is nested too deeply. It is not trusted; it can be opened and saved all the same."""


async def mark_trusted(
    notary: NotebookNotary, notebook: Any, path: str, log: Any, digest: str | None = None
) -> str | None:
    """Mark a loaded notebook's code cells as trusted or not, by its signature.

    `digest`, where it is known, spares its computation; the answer is the digest, or None
    for a notebook that cannot be trusted.
    """
    trusted = False
    if digest is None:
        digest = await asyncio.to_thread(_digest, notary, notebook)
    if digest is not None:
        known = digest
        trusted = _with_store(notary, path, log, lambda store: _check(notary, store, known))
    if not trusted:
        log.warning("Notebook %s is not trusted", path)
    await asyncio.to_thread(_mark, notary, notebook, trusted)
    return digest


async def sign_if_trusted(notary: NotebookNotary, notebook: Any, path: str, log: Any) -> None:
    """Sign a saved notebook if all of its cells are trusted. Never a reason to fail."""
    digest = await asyncio.to_thread(_digest_if_trusted, notary, notebook)
    if digest is None:
        log.warning("Notebook %s is not trusted", path)
    else:
        known = digest
        _with_store(notary, path, log, lambda store: _sign(notary, store, known))


def _mark(notary: NotebookNotary, notebook: Any, trusted: bool) -> None:
    with suppress(*_STRANGE_SHAPE):
        notary.mark_cells(notebook, trusted)


def _digest_if_trusted(notary: NotebookNotary, notebook: Any) -> str | None:
    try:
        trusted = notary.check_cells(notebook)
    except _STRANGE_SHAPE:
        return None
    return _digest(notary, notebook) if trusted else None


def _digest(notary: NotebookNotary, notebook: Any) -> str | None:
    try:
        if notebook.nbformat < 3:
            return None
        with long_texts.taken_apart(notebook):
            return str(notary.compute_signature(notebook))
    except _STRANGE_SHAPE:
        return None


def _check(notary: NotebookNotary, store: Any, digest: str) -> bool:
    return bool(store.check_signature(digest, notary.algorithm))


def _sign(notary: NotebookNotary, store: Any, digest: str) -> bool:
    store.store_signature(digest, notary.algorithm)
    return True


def _with_store(notary: NotebookNotary, path: str, log: logging.Logger, act: Any) -> bool:
    """What `act` says of the store; with a store that fails, of a new one; else False."""
    for attempt in range(2):
        try:
            return bool(act(notary.store))
        # Stores are pluggable and fail each in its own way, and the notebook itself is safe:
        # without its signature it is merely not trusted.
        except Exception:
            log.warning(
                "Signature store corrupted or unavailable for notebook %s%s.",
                path,
                "; the notebook stays untrusted" if attempt else "; making a new one",
                exc_info=True,
            )
        if not attempt:
            notary.store = notary.store_factory()
    return False
