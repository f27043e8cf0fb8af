"""What a process does that runs claims, one after another: `serve`.

Tasks come on stdin and results go to stdout, pickled; both are pipes to the process that started it. It is not made by
multiprocessing: that would run the user's script once more in every process, and give no say in their environment.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
from dataclasses import dataclass
from typing import Any

from normscope.claims.claim import Claim, Scale


@dataclass(frozen=True)
class Task:
    """Claims to run: one, or several that are measured from one observation."""

    claims: tuple[Claim, ...]
    scale: Scale
    seed: int
    figures: bool


def serve() -> None:
    """Run what comes until stdin ends. If it ends in the middle of a claim, who asked is gone: so are we."""
    # what a claim prints must not come between the results
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    tasks: queue.Queue[bytes | None] = queue.Queue()
    threading.Thread(target=_receive, args=(tasks,), daemon=True).start()
    while (told := tasks.get()) is not None:
        answer = pickle.dumps(_run(told))
        results.write(len(answer).to_bytes(8, "little") + answer)
        results.flush()


def _receive(tasks: queue.Queue[bytes | None]) -> None:
    while head := sys.stdin.buffer.read(8):
        tasks.put(sys.stdin.buffer.read(int.from_bytes(head, "little")))
    os._exit(0)  # also in the middle of a claim: nobody is left to hear of it


def _run(told: bytes) -> Any:
    """What `execute_together` gives; or an exception, where the claims cannot even be unpickled."""
    from normscope.claims.execution import execute_together

    try:
        task: Task = pickle.loads(told)
    except Exception as error:  # of modules that are imported anything
        return error
    return execute_together(task.claims, task.scale, task.seed, figures=task.figures)
