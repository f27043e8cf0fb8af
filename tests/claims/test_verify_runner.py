"""Claims in real processes: every end is a verdict, nothing finished is lost, and nobody is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from normscope.claims import Claim, UnknownClaim, Verdict, read_verdicts, verify
from normscope.claims.execution import execute
from normscope.claims.process import Process
from normscope.claims.worker import Task
from reference import toy_claims as toys

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    return verify(toys.EVERY, jobs=2, output=tmp_path_factory.mktemp("every"))


def test_every_end_is_a_verdict_in_the_order_of_the_claims(verdicts: list[Verdict]) -> None:
    assert [verdict.id for verdict in verdicts] == [claim.id for claim in toys.EVERY]
    good, bad, more, broken = "reproduced", "not reproduced", "needs more than this machine", "could not run"
    assert [v.status for v in verdicts] == [good, bad, bad, good, broken, more, more, broken, broken, good, good]


def test_a_worker_that_dies_says_how(verdicts: list[Verdict]) -> None:
    reasons = {verdict.id: verdict.reason for verdict in verdicts}
    assert reasons["toy2026.crashes"] == "its process was ended by SIGKILL (often for lack of memory)"
    assert reasons["toy2026.leaves"] == "its process ended with exit code 3: free(): invalid pointer"


def test_a_figure_that_fails_leaves_the_verdict(verdicts: list[Verdict]) -> None:
    undrawn = verdicts[-1]
    assert undrawn.reproduced
    assert undrawn.measurement.notes[0].startswith("no figure: ZeroDivisionError: no line fits")


def test_parallel_equals_one_after_another_equals_this_process(verdicts: list[Verdict]) -> None:
    claims = [claim for claim, verdict in zip(toys.EVERY, verdicts, strict=True) if verdict.ran]
    serial = verify(claims, jobs=1)
    parallel = [verdict for verdict in verdicts if verdict.ran]
    here = [execute(claim, "quick", 0).verdict for claim in claims]
    for one, other, own in zip(parallel, serial, here, strict=True):
        assert replace(one, seconds=0) == replace(other, seconds=0) == replace(own, seconds=0)
        assert one.measurement.table.equals(other.measurement.table)
        assert one.measurement.table.equals(own.measurement.table)


def test_progress_goes_up_to_the_end() -> None:
    told: list[tuple[float, float, str]] = []
    verify([toys.HOLDS, toys.SURE], jobs=2, progress=lambda *now: told.append(now))
    done = [now[0] for now in told]
    assert done == sorted(done)
    assert told[-1] == (2.0, 2.0, "claims")
    assert any("toy2026.holds" in now[2] for now in told)


def test_what_is_finished_is_not_run_again(tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    one, two = (toys.toy(name, figure=None, sizes={"samples": 400, "log": str(log)}) for name in ("one", "two"))

    def ran(*claims: Claim, **options: bool) -> int:
        before = len(log.read_text().splitlines()) if log.exists() else 0
        verdicts = verify(claims, jobs=1, output=out, **options)
        assert [verdict.status for verdict in verdicts] == ["reproduced"] * len(claims)
        return len(log.read_text().splitlines()) - before

    assert ran(one) == 1
    assert ran(one) == 0
    assert ran(one, two) == 1
    assert ran(one, two, fresh=True) == 2


SCRIPT = """
import sys
from normscope.claims import verify
from reference import toy_claims as toys

folder = sys.argv[1]
waits = toys.toy("waits", toys.waits_for, sizes={"started": f"{folder}/started", "until": f"{folder}/until"})
quick = toys.toy("quick", sizes={"samples": 400, "log": f"{folder}/log"}, seconds={"quick": 9, "full": 9, "paper": 9})
print([v.status for v in verify([quick, waits], jobs=2, output=f"{folder}/out")], flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_goes_on_where_it_was(how: signal.Signals, tmp_path: Path) -> None:
    """A real process, ended in the middle: its worker ends too, and what it had finished is kept."""
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": path}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until((tmp_path / "out/quick/toy2026.quick/verdict.json").exists)
    until(lambda: (tmp_path / "started").exists() and (tmp_path / "started").read_text())
    worker = int((tmp_path / "started").read_text())
    process.send_signal(how)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (-how, b"")
    until(lambda: gone(worker))
    assert [verdict.id for verdict in read_verdicts(tmp_path / "out")] == ["toy2026.quick"]

    (tmp_path / "until").touch()
    done = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().strip() == "['reproduced', 'reproduced']"
    assert len((tmp_path / "log").read_text().splitlines()) == 1


def test_a_worker_that_is_killed_takes_only_its_claim_along(tmp_path: Path) -> None:
    """From outside, as the system does where memory runs out."""
    waits = toys.toy("waits", toys.waits_for, sizes={"started": str(tmp_path / "started")})
    killed: list[int] = []

    def kill(*_: object) -> None:
        if not killed and (tmp_path / "started").exists() and (text := (tmp_path / "started").read_text()):
            killed.append(int(text))
            os.kill(killed[0], signal.SIGKILL)

    verdicts = verify([waits, toys.HOLDS, toys.SURE], jobs=1, progress=kill)
    assert [verdict.status for verdict in verdicts] == ["could not run", "reproduced", "reproduced"]
    assert killed


def test_an_error_of_the_store_ends_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    waits = toys.toy("waits", toys.waits_for, sizes={"started": str(tmp_path / "started")})
    slow = {"quick": 9, "full": 9, "paper": 9}
    monkeypatch.setattr("normscope.claims.store.Store.keep", full)
    start = time.monotonic()
    with pytest.raises(OSError, match="No space left"):
        verify([replace(waits, seconds=slow), toys.HOLDS], jobs=2, output=tmp_path / "out")
    assert time.monotonic() - start < 30  # it waits for a minute
    if (tmp_path / "started").exists():
        until(lambda: gone(int((tmp_path / "started").read_text())))


def test_functions_that_no_other_process_finds_are_told() -> None:
    local = replace(toys.HOLDS, measure=lambda *, seed, samples: toys.measure_normal(seed=seed, samples=samples))
    verdict = verify([local])[0]
    assert verdict.status == "could not run"
    assert verdict.reason.startswith("the functions of claim toy2026.holds must be those of a module: ")


def test_a_process_keeps_to_its_threads_and_does_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    process = Process(threads=1)
    try:
        claim = toys.toy("environment", toys.environment, sizes={})
        (done,) = process.run(Task((claim,), "quick", 0, False))
    finally:
        process.close()
    assert done.measurement.scalars == {"threads": 1, "policy": "PASSIVE", "torch_threads": 1}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: verify("nothing.at-all"), UnknownClaim, "no claim is named 'nothing.at-all'"),
        (lambda: verify(toys.HOLDS, "qick"), ValueError, "scale 'qick': not known; did you mean 'quick'?"),
        (lambda: verify(toys.HOLDS, jobs=0), ValueError, "jobs 0: at least one process must run"),
        (lambda: verify(toys.HOLDS, seed=-1), ValueError, "seed -1: a seed is a whole number from 0"),
        (lambda: verify(toys.HOLDS, seed=2**32), ValueError, "a seed is a whole number"),
        (lambda: verify(toys.HOLDS, output=__file__), NotADirectoryError, "it is a file; name a folder"),
        (lambda: verify(toys.HOLDS, output="/proc/none"), OSError, "cannot make the folder /proc/none"),
    ],
)
def test_what_cannot_run_is_told_before_anything_runs(
    call: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as told:
        call()
    assert message in str(told.value)


def until(done: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{process}/stat")  # a zombie nobody waits for is gone too
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
