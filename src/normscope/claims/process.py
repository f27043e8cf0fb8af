"""A worker process, seen from the one that started it."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile

from normscope.claims.execution import Done
from normscope.claims.worker import Task
from normscope.loading import one_line

_SERVE = "from normscope.claims.worker import serve; serve()"
_PATIENCE = 5.0  # seconds, to end by itself


class Died(Exception):
    """The process ended in the middle of a claim; the message says how."""


class Process:
    """Runs claims outside of this process: one that crashes takes nothing else with it.

    Args:
        threads: of torch and of the linear algebra below it.
    """

    def __init__(self, threads: int) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            # -P: what lies in the current folder must not be taken for a module of Python's
            [sys.executable, "-P", "-c", _SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environment(threads),
            start_new_session=True,  # Ctrl-C is for the process that the user started, which ends this one
        )

    def run(self, task: Task) -> list[Done]:
        """Run a task there, and wait: one result a claim.

        Raises:
            Died: the process ended first.
            ValueError: its claims cannot be handed over; the message says why.
        """
        told = _pickled(task)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(len(told).to_bytes(8, "little") + told)
            self._process.stdin.flush()
            head = self._process.stdout.read(8)
            answer = self._process.stdout.read(int.from_bytes(head, "little"))
        except OSError:  # a broken pipe
            head = answer = b""
        if len(head) < 8 or len(answer) < int.from_bytes(head, "little"):
            raise Died(self._last_words())
        done = pickle.loads(answer)
        if isinstance(done, Exception):
            raise ValueError(f"the claim cannot be handed to another process: {one_line(str(done))}") from done
        assert isinstance(done, list)
        return done

    def kill(self) -> None:
        """End it now, whatever it is doing, and what it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # it leads a group of its own
        self._close()

    def close(self) -> None:
        """Let it end; it must have nothing to do."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(_PATIENCE)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
        self._close()

    def _close(self) -> None:
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._errors):
            assert file is not None
            with contextlib.suppress(OSError):  # what was not yet written to it cannot be
                file.close()

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        said = f": {one_line(lines[-1])}" if lines else ""
        if code >= 0:
            return f"its process ended with exit code {code}{said}"
        hint = " (often for lack of memory)" if code == -signal.SIGKILL else ""
        return f"its process was ended by {_signal_name(-code)}{hint}{said}"


def _pickled(task: Task) -> bytes:
    try:
        return pickle.dumps(task)
    except Exception as error:  # AttributeError, TypeError, PicklingError
        raise ValueError(
            f"the functions of claim {task.claims[0].id} must be those of a module: {one_line(str(error))}"
        ) from error


def _environment(threads: int) -> dict[str, str]:
    """Threads that spin while they wait cost a busy machine tenfold; libraries read these when they are imported."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    counts = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS")}
    return {**os.environ, "PYTHONPATH": path, "OMP_WAIT_POLICY": "PASSIVE", "MPLBACKEND": "agg", **counts}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
