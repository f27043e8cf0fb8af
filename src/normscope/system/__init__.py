"""What all rooms share and no other room is about: files that are written whole, memory, colours. Loads no torch."""

from __future__ import annotations

from normscope.system.colours import BLACK, BLUE, CYCLE, GREEN, ORANGE, PURPLE, SKY, VERMILLION
from normscope.system.memory import free_bytes, is_out_of_memory
from normscope.system.whole import ensure_writable, written_whole

__all__ = [
    "BLACK",
    "BLUE",
    "CYCLE",
    "GREEN",
    "ORANGE",
    "PURPLE",
    "SKY",
    "VERMILLION",
    "ensure_writable",
    "free_bytes",
    "is_out_of_memory",
    "written_whole",
]
