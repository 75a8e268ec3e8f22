"""A command of semtf in a process of its own, for tests of kills, limits and environments."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

CODE = "from semtf.cli.main import run; run()"


def start(
    *arguments: str | Path,
    environment: dict[str, str] | None = None,
    before: Callable[[], None] | None = None,
    code: str = CODE,
) -> subprocess.Popen[str]:
    """Start ``semtf ARGUMENTS``; ``before`` runs in the new process ahead of it."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )


def finish(process: subprocess.Popen[str], seconds: float = 900) -> tuple[int, str, list[str]]:
    """Exit code, output, and the lines on stderr that are errors."""
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert "Traceback" not in err, err
    return process.returncode, out, [line for line in err.splitlines() if "error: " in line]
