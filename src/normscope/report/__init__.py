"""Traces in, one self-contained HTML page out."""

from __future__ import annotations

from normscope.report.output import ensure_writable
from normscope.report.page import render, write_page
from normscope.report.study import Run, Settings, Study, run_study
from normscope.report.summary import Summary, numbers, summarize

__all__ = [
    "Run",
    "Settings",
    "Study",
    "Summary",
    "ensure_writable",
    "numbers",
    "render",
    "run_study",
    "summarize",
    "write_page",
]
