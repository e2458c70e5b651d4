#!/usr/bin/env python3
"""Downloads from UploadStream and its peers in turn: throughput, CPU per GB, memory. See README.md."""

import sys

from rig.series import run_series

if __name__ == "__main__":
    sys.exit(run_series("download"))
