"""Other processes of this interpreter, and semtf's commands in them."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

SEMTF = ("-c", "from semtf.cli.main import run; run()")
"""What `semtf` is to an interpreter that finds the package; its arguments follow."""


def spawn(arguments: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Start this interpreter; options as those of `subprocess.Popen`."""
    return subprocess.Popen([sys.executable, *arguments], **options)  # noqa: S603 - our own interpreter


def finish(arguments: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run this interpreter to its end; options as those of `subprocess.Popen`."""
    pipe = subprocess.PIPE
    with spawn(arguments, stdout=pipe, stderr=pipe, text=True, **options) as process:
        out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
