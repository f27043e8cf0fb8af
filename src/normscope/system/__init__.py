"""The machine that a run is on: files that are written whole, memory that is left. Loads no torch."""

from __future__ import annotations

from normscope.system.memory import free_bytes
from normscope.system.whole import ensure_writable, written_whole

__all__ = ["ensure_writable", "free_bytes", "written_whole"]
