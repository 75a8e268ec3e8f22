"""Licences of what is installed: what clashes with Apache-2.0 is found, and nothing does."""

import subprocess
import sys
from pathlib import Path

import licences
import pytest

from semtf.backend.installed import is_classic

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.mark.parametrize(
    ("text", "clash"),
    [
        ("MIT", False),
        ("Apache-2.0 OR GPL-2.0-only", False),
        ("GPL-3.0-or-later", True),
        ("AGPL-3.0-only", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("GNU Affero General Public License v3", True),
        ("GNU Lesser General Public License v3 (LGPLv3)", False),
        ("LGPL-2.1-or-later", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("MPL-2.0", False),
        ("CC-BY-NC-4.0 NonCommercial", True),
        ("GPL-3.0-only OR AGPL-3.0-only", True),
    ],
)
def test_what_clashes(text: str, clash: bool) -> None:
    assert licences.clashes(text) is clash


def test_no_locked_package_clashes() -> None:
    command = [sys.executable, str(SCRIPTS / "licences.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    # NumPy 1 names its licence by a classifier.
    assert f"numpy: {'BSD License' if is_classic() else 'BSD-3-Clause'}" in done.stdout
    assert " 0 that clash" in done.stderr
