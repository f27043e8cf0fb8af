"""Claims in, verdicts out: in parallel processes, each finished one kept at once."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, get_args

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

    Claims run in processes of their own: one that crashes is a verdict "could not run". Claims of one `Observation` run
    together, and it is made once. A claim's numbers depend on its id (or that of its observation) and the seed, not on
    which others run or how many at once (but for rounding, where the number of threads changes
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
    groups = _groups(missing, scale)
    run = _Run(scale, seed, store, progress or (lambda *_: None), _cores(), min(jobs or _cores(), max(len(groups), 1)))
    run.all(groups, _groups([claim for claim in claims if claim.id in found], scale))
    return [found.get(claim.id) or run.verdicts[claim.id] for claim in claims]


def _finished(store: Store, claims: list[Claim], scale: Scale, seed: int) -> dict[str, Verdict]:
    """Verdicts of an earlier run, with the files that it could not make."""
    found: dict[str, Verdict] = {}
    for claim in claims:
        verdict = store.find(claim, scale, seed)
        if verdict is not None:
            store.complete(claim, verdict)
            found[claim.id] = verdict
    return found


def _cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


@dataclass(frozen=True, eq=False)
class _Group:
    """Claims that are measured from one observation, or one claim alone: a process runs it as a whole."""

    name: str
    claims: tuple[Claim, ...]
    seconds: float


def _groups(claims: Iterable[Claim], scale: Scale) -> list[_Group]:
    together: dict[Any, list[Claim]] = {}
    for claim in claims:
        shared = claim.observation
        # claims of one id are one claim; an observation of another size is another one
        key = claim.id if shared is None else (shared, json.dumps(claim.sizes[scale], sort_keys=True))
        together.setdefault(key, []).append(claim)
    return [
        _Group(
            members[0].id if members[0].observation is None else members[0].observation.name,
            tuple(members),
            max(float(claim.seconds[scale]) for claim in members),
        )
        for members in together.values()
    ]


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
    started: dict[_Group, float] = field(default_factory=dict)
    processes: dict[int, Process] = field(default_factory=dict)
    ended: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def all(self, groups: list[_Group], before: list[_Group]) -> None:
        """Run ``groups``, the longest first; ``before`` were finished by an earlier run, and count as done."""
        every = [*groups, *before]
        done = set(before)
        order = sorted(groups, key=lambda group: -group.seconds)
        with ThreadPoolExecutor(self.jobs) as threads:
            waiting: dict[Future[list[Done]], _Group] = {threads.submit(self._one, group): group for group in order}
            try:
                while waiting:
                    finished, _ = wait(waiting, timeout=_TICK, return_when=FIRST_COMPLETED)
                    for future in finished:
                        group = waiting.pop(future)
                        for result in future.result():
                            if self.store is not None:
                                self.store.keep(result)
                            self.verdicts[result.verdict.id] = result.verdict
                        done.add(group)
                    self._tell(every, done)
            except BaseException:
                for future in waiting:
                    future.cancel()
                self._end(Process.kill)
                raise
        self._end(Process.close)

    def _one(self, group: _Group) -> list[Done]:
        start = time.monotonic()
        self.started[group] = start
        try:
            task = Task(group.claims, self.scale, self.seed, self.store is not None and can_draw())
            return self._process().run(task)
        except (Died, ValueError, OSError) as error:
            if isinstance(error, Died):
                self._forget()
            reason, seconds = str(error), time.monotonic() - start
            return [Done(could_not_run(c, self.scale, self.seed, reason, seconds), {}) for c in group.claims]

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

    def _tell(self, every: list[_Group], done: set[_Group]) -> None:
        now = time.monotonic()
        running = [group for group in list(self.started) if group not in done]
        partly = sum(min(now - self.started[group], _ALMOST * group.seconds) for group in running)
        what = ", ".join(group.name for group in running) or "claims"
        self.progress(sum(group.seconds for group in done) + partly, sum(group.seconds for group in every), what)
