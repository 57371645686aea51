"""`python -m benchmarks`: measures all in one run and prints tables. See `docs/performance.md`."""

from __future__ import annotations

import os

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # before Polars is imported

from benchmarks.command import main

if __name__ == "__main__":
    main()
