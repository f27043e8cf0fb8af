"""Claims in, verdicts out: in parallel processes, each finished one kept at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import get_args

from normscope.claims.claim import Claim, Scale
from normscope.claims.drawing import can_draw
from normscope.claims.execution import Done, could_not_run
from normscope.claims.identity import require_seed
from normscope.claims.process import Died, Process
from normscope.claims.registry import select
from normscope.claims.store import Store
from normscope.claims.verdict import Verdict
from normscope.claims.worker import Task
from normscope.loading import suggestion

Progress = Callable[[float, float, str], None]
"""Called with (work done, all work, what is running), in expected seconds."""

_TICK = 0.5  # seconds between two calls of progress
_ALMOST = 0.95  # of its expected time: what is still running is not finished


def verify(
    which: str | Claim | Iterable[str | Claim] = "all",
    scale: Scale = "quick",
    *,
    seed: int = 0,
    jobs: int | None = None,
    output: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> list[Verdict]:
    """Run claims of the papers, and say which of them were reproduced.

    Claims run in processes of their own: one that crashes is a verdict "could not run". A claim's numbers depend on its
    id and the seed, not on which others run or how many at once (but for rounding, where the number of threads changes
    the order of sums).

    Args:
        which: "all"; an id ("nachum2024.odd-point"), a paper ("nachum2024"), a pattern ("*.gradient*"), a `Claim`, or
            several of these.
        scale: "quick", "full" or "paper".
        seed: decides everything that is drawn.
        jobs: processes at once; by default as many as there are cores.
        output: a folder where verdicts, numbers and figures are kept, each as soon as it is there. What it already
            holds from the same code, parameters, versions and seed is not run again. None: nothing is kept.
        fresh: run again all the same.
        progress: called often with (work done, all work, what is running).

    Returns:
        One verdict a claim, in the order of the papers.

    Raises:
        UnknownClaim: a name that fits no claim; says which is near.
        ValueError: an unknown scale, a negative seed, no jobs.
        OSError: the folder cannot be written.
    """
    if scale not in get_args(Scale):
        raise ValueError(f"scale {scale!r}: not known{suggestion(str(scale), get_args(Scale), get_args(Scale))}")
    require_seed(seed)
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs {jobs}: at least one process must run")
    claims = select(which)
    store = None if output is None else Store(output)
    found = {} if store is None or fresh else _finished(store, claims, scale, seed)
    missing = [claim for claim in claims if claim.id not in found]
    run = _Run(scale, seed, store, progress or (lambda *_: None), _cores(), min(jobs or _cores(), max(len(missing), 1)))
    run.all(missing, [claim for claim in claims if claim.id in found])
    return [found.get(claim.id) or run.verdicts[claim.id] for claim in claims]


def _finished(store: Store, claims: list[Claim], scale: Scale, seed: int) -> dict[str, Verdict]:
    there = ((claim.id, store.find(claim, scale, seed)) for claim in claims)
    return {name: verdict for name, verdict in there if verdict is not None}


def _cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


@dataclass
class _Run:
    """What the threads of one run share. Each of them waits for one process."""

    scale: Scale
    seed: int
    store: Store | None
    progress: Progress
    cores: int
    jobs: int
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    processes: dict[int, Process] = field(default_factory=dict)
    ended: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def all(self, claims: list[Claim], before: list[Claim]) -> None:
        """Run ``claims``, the longest first; ``before`` were finished by an earlier run, and count as done."""
        expected = {claim.id: float(claim.seconds[self.scale]) for claim in [*claims, *before]}
        done = {claim.id for claim in before}
        order = sorted(claims, key=lambda claim: -expected[claim.id])
        with ThreadPoolExecutor(self.jobs) as threads:
            waiting: dict[Future[Done], Claim] = {threads.submit(self._one, claim): claim for claim in order}
            try:
                while waiting:
                    finished, _ = wait(waiting, timeout=_TICK, return_when=FIRST_COMPLETED)
                    for future in finished:
                        claim = waiting.pop(future)
                        result = future.result()
                        if self.store is not None:
                            self.store.keep(result)
                        self.verdicts[claim.id] = result.verdict
                        done.add(claim.id)
                    self._tell(expected, done)
            except BaseException:
                for future in waiting:
                    future.cancel()
                self._end(Process.kill)
                raise
        self._end(Process.close)

    def _one(self, claim: Claim) -> Done:
        start = time.monotonic()
        self.started[claim.id] = start
        try:
            task = Task(claim, self.scale, self.seed, self.store is not None and can_draw())
            return self._process().run(task)
        except (Died, ValueError, OSError) as error:
            if isinstance(error, Died):
                self._forget()
            reason = str(error)
            return Done(could_not_run(claim, self.scale, self.seed, reason, time.monotonic() - start), {})

    def _process(self) -> Process:
        """This thread's own: started when it is first needed, and again where it died."""
        with self.lock:
            if self.ended:
                raise Died("interrupted")
            me = threading.get_ident()
            if me not in self.processes:
                self.processes[me] = Process(max(self.cores // self.jobs, 1))
            return self.processes[me]

    def _forget(self) -> None:
        with self.lock:
            process = self.processes.pop(threading.get_ident(), None)
        if process is not None:
            process.kill()

    def _end(self, how: Callable[[Process], None]) -> None:
        with self.lock:
            self.ended = True
            for process in self.processes.values():
                how(process)
            self.processes.clear()

    def _tell(self, expected: dict[str, float], done: set[str]) -> None:
        now = time.monotonic()
        running = [name for name in list(self.started) if name not in done]
        partly = sum(min(now - self.started[name], _ALMOST * expected[name]) for name in running)
        what = ", ".join(running) or "claims"
        self.progress(sum(expected[name] for name in done) + partly, sum(expected.values()), what)
