"""What comes from outside by name, safely: Python objects, models, checkpoints.

Code runs only where the user names it (``pkg.module:name``, ``model.py:name``); a file of tensors never runs any.
What goes wrong is a `LoadingError`, whose message is one line. The global random generators are left alone, also by
the code that is loaded.
"""

from __future__ import annotations

from normscope.loading.calling import call, check_keywords
from normscope.loading.errors import LoadingError, describe, one_line, origin, reading, some, suggestion
from normscope.loading.model import load_model, parse_keyword
from normscope.loading.names import resolve
from normscope.loading.randomness import kept_randomness, seeded_randomness
from normscope.loading.tensors import read_tensors, require_file
from normscope.loading.weights import load_weights

__all__ = [
    "LoadingError",
    "call",
    "check_keywords",
    "describe",
    "kept_randomness",
    "load_model",
    "load_weights",
    "one_line",
    "origin",
    "parse_keyword",
    "read_tensors",
    "reading",
    "require_file",
    "resolve",
    "seeded_randomness",
    "some",
    "suggestion",
]
