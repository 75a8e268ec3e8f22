"""The commands of semtf as other processes, from wherever this interpreter finds the package."""

import sys

SEMTF = (sys.executable, "-c", "from semtf.cli.main import run; run()")
"""What `semtf` is on a command line; its arguments follow."""
