"""The zoo is built from configurations: nothing is fetched, and a test that tried would fail at once."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # read by the hub's client when it is first imported
