"""Random rounds: several people edit one notebook at the same moments, each on a server."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from .editor import Choice, Editor
from .ledger import Ledger, Verdict
from .servers import Servers

STEPS = 4
_CHOICES: tuple[Choice, ...] = ("overwrite", "overwrite", "revert", "cancel")


def play(servers: Servers, seed: int) -> Verdict:
    """One round: a notebook, an editor on each server, and what came out of it."""
    chance = random.Random(seed)
    folder, ledger = f"rounds/{seed}", Ledger()
    with ExitStack() as stack:
        editors = []
        for number in range(len(servers.processes)):
            connection = stack.enter_context(servers.connect(number))
            own = random.Random(chance.random())
            path = f"{folder}/shared.ipynb"
            editors.append(Editor(f"e{number}", connection, ledger, path, _chooser(own)))
        editors[0].create()
        for editor in editors[1:]:
            editor.open()
        plans = [_plan(random.Random(chance.random()), STEPS) for _ in editors]
        _together(editors, plans)
        for editor in editors:
            _work_alone(editor)
    stored = {path: servers.marks(path) for path in servers.paths(f"{folder}/")}
    verdict = ledger.judge(stored, f"{folder}/shared.ipynb")
    for faults in (verdict.lost, verdict.false, verdict.wrong):
        faults[:] = [f"seed {seed}: {fault}" for fault in faults]
    verdict.counts["rounds"] += 1
    verdict.counts["gestures"] += sum(map(len, plans)) + 3 * len(editors)
    return verdict


def _chooser(chance: random.Random) -> Callable[[], Choice]:
    return lambda: chance.choice(_CHOICES)


def _plan(chance: random.Random, steps: int) -> list[str]:
    """What one person does at each of the common moments."""
    gestures = ("save", "autosave", "open", "look", "rest")
    return chance.choices(gestures, weights=(5, 4, 1, 1, 1), k=steps)


def _together(editors: Sequence[Editor], plans: Sequence[Sequence[str]]) -> None:
    """Each editor in a thread; a step begins when all have ended the one before."""
    barrier = threading.Barrier(len(editors), timeout=60)

    def live(editor: Editor, plan: Sequence[str]) -> None:
        try:
            for gesture in plan:
                barrier.wait()
                _do(editor, gesture)
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(len(editors)) as pool:
        futures = [
            pool.submit(live, editor, plan) for editor, plan in zip(editors, plans, strict=True)
        ]
        errors = [error for future in futures if (error := future.exception()) is not None]
    # The one that broke the barrier is the reason; the others only waited for it.
    errors.sort(key=lambda error: isinstance(error, threading.BrokenBarrierError))
    if errors:
        raise errors[0]


def _do(editor: Editor, gesture: str) -> None:
    if gesture == "open":
        editor.open()
    elif gesture == "look":
        editor.look()
    elif gesture != "rest":
        editor.edit()
        if editor.save(by_hand=gesture == "save") == "refused":
            _keep(editor)


def _keep(editor: Editor) -> None:
    """What was refused is still in hand, and can be saved under another name."""
    folder = editor.path.rpartition("/")[0]
    editor.save_as(f"{folder}/kept-{editor.marks[-1]}.ipynb")
    if editor.choose() != "cancel":
        editor.open()


def _work_alone(editor: Editor) -> None:
    """Nobody else is there: two saves go through, and nobody is asked."""
    editor.open()
    for by_hand in (True, False):
        editor.edit()
        outcome = editor.save(by_hand=by_hand)
        if outcome != "saved":
            editor.ledger.note_disturbed(f"{editor.name}, alone: {outcome}")
