"""Templates to pages: self-contained, everything escaped."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import jinja2
import torch

from normscope import __version__


def render_template(name: str, payload: Any, **context: Any) -> str:
    """The page that template ``name`` makes.

    Args:
        name: file in ``templates/``.
        payload: what the page's script is given, as JSON; NaN is no JSON and must not be in it.
        context: what the template is given beside the versions, the date and plotly.
    """
    from plotly.offline import get_plotlyjs  # a megabyte of Python: loaded when a page is made

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("normscope.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(name).render(
        **context,
        version=__version__,
        torch_version=torch.__version__,
        today=date.today().isoformat(),
        plotly=get_plotlyjs(),
        # a "</script>" in a name would end the element it stands in
        payload=json.dumps(payload, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
    )
