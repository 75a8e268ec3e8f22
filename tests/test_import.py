"""What makes `import semtf` and `semtf --help` fast: nothing heavy is imported."""

import subprocess
import sys

import pytest

import semtf

HEAVY = ("tensorflow", "keras", "pandas", "scipy", "numpy", "matplotlib", "skimage", "scann")


@pytest.mark.parametrize(
    "code",
    [
        "import semtf",
        "from semtf.cli.main import run\ntry: run(['--help'])\nexcept SystemExit: pass",
        "import semtf.cli.train, semtf.cli.predict, semtf.cli.simulate, semtf.cli.export",
        "import semtf.cli.measure, semtf.cli.serve, semtf.serving",
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    check = f"{code}\nimport sys\nprint([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_public_names_exist() -> None:
    for name in semtf.__all__:
        assert getattr(semtf, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'depth'"):
        _ = semtf.depth
