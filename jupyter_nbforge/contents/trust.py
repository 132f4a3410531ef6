"""Signing notebooks, as Jupyter does it, without holding the event loop.

The digest over the whole notebook is computed in a worker thread. The signature store is
one row of a database whose connection belongs to the thread that opened it, so that part
stays where the manager lives.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from nbformat.sign import NotebookNotary


async def mark_trusted(
    notary: NotebookNotary, notebook: Any, path: str, log: Any, digest: str | None = None
) -> str | None:
    """Mark a loaded notebook's code cells as trusted or not, by its signature.

    `digest`, where it is known, spares its computation; the answer is the digest, or None
    for a notebook of a format that is never trusted.
    """
    trusted = False
    if notebook.nbformat >= 3:
        if digest is None:
            digest = await asyncio.to_thread(notary.compute_signature, notebook)
        known = str(digest)
        trusted = _with_store(notary, path, log, lambda store: _check(notary, store, known))
    if not trusted:
        log.warning("Notebook %s is not trusted", path)
    await asyncio.to_thread(notary.mark_cells, notebook, trusted)
    return digest


async def sign_if_trusted(notary: NotebookNotary, notebook: Any, path: str, log: Any) -> None:
    """Sign a saved notebook if all of its cells are trusted. Never a reason to fail."""
    if not await asyncio.to_thread(notary.check_cells, notebook):
        log.warning("Notebook %s is not trusted", path)
        return
    digest = await asyncio.to_thread(notary.compute_signature, notebook)
    _with_store(notary, path, log, lambda store: _sign(notary, store, digest))


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
