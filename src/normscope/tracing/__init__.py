"""Watching a real model: forward and backward hooks, measured while they run, into a `Trace`."""

from __future__ import annotations

from normscope.tracing.preserve import preserved
from normscope.tracing.result import Trace
from normscope.tracing.watch import trace, watched_layers

__all__ = ["Trace", "preserved", "trace", "watched_layers"]
