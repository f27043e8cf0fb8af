"""``python -m normscope``: the command line where the script ``normscope`` is not on the path."""

from __future__ import annotations

from normscope.cli import main

if __name__ == "__main__":
    main()
