"""Watching a real model: forward and backward hooks, measured while they run, into a `Trace`."""

from __future__ import annotations

from normscope.tracing.preserve import preserved
from normscope.tracing.result import Trace
from normscope.tracing.watch import trace, watched_layers
from normscope.tracing.whole import ensure_writable, written_whole

__all__ = ["Trace", "ensure_writable", "preserved", "trace", "watched_layers", "written_whole"]
