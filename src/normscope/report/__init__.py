"""Traces in; tables for the terminal and self-contained HTML pages out."""

from __future__ import annotations

from normscope.report.claims.section import ShownClaims, read_claims
from normscope.report.claims.text import claim_lines, verdict_lines
from normscope.report.inspection.failing_layer import InspectionError
from normscope.report.inspection.inspected import Inspected, Network
from normscope.report.inspection.inspected import numbers as inspected_numbers
from normscope.report.inspection.page import render_trace, write_trace_page
from normscope.report.inspection.run import run_inspection
from normscope.report.inspection.settings import Inspection, parse_shape
from normscope.report.inspection.standouts import standouts, trouble
from normscope.report.inspection.text import lines as terminal_lines
from normscope.report.output import ensure_writable
from normscope.report.partition.facts import partition_facts, partition_numbers
from normscope.report.partition.figure import require_figures, write_animation, write_figure
from normscope.report.partition.page import render_partition, write_partition_page
from normscope.report.partition.run import run_partition
from normscope.report.partition.settings import PartitionError, PartitionSettings, parse_numbers
from normscope.report.partition.study import Panel, Partitioned
from normscope.report.partition.text import partition_lines
from normscope.report.study.memory import ensure_fits
from normscope.report.study.page import render, write_page
from normscope.report.study.run import Run, Study, run_study
from normscope.report.study.settings import SettingError, Settings
from normscope.report.study.summary import Summary, numbers, summarize

__all__ = [
    "Inspected",
    "Inspection",
    "InspectionError",
    "Network",
    "Panel",
    "PartitionError",
    "PartitionSettings",
    "Partitioned",
    "Run",
    "SettingError",
    "Settings",
    "ShownClaims",
    "Study",
    "Summary",
    "claim_lines",
    "ensure_fits",
    "ensure_writable",
    "inspected_numbers",
    "numbers",
    "parse_numbers",
    "parse_shape",
    "partition_facts",
    "partition_lines",
    "partition_numbers",
    "read_claims",
    "render",
    "render_partition",
    "render_trace",
    "require_figures",
    "run_inspection",
    "run_partition",
    "run_study",
    "standouts",
    "summarize",
    "terminal_lines",
    "trouble",
    "verdict_lines",
    "write_animation",
    "write_figure",
    "write_page",
    "write_partition_page",
    "write_trace_page",
]
