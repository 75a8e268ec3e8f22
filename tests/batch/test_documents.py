"""The cluster files of docs/batches.md have the syntax of what reads them."""

import re
import subprocess
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs/batches.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return found


def test_the_kubernetes_file_is_yaml() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    job = yaml.safe_load(block("yaml"))
    assert job["kind"] == "RayJob"
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["workerGroupSpecs"][0]["template"] == cluster["headGroupSpec"]["template"]
    check_command(job["spec"]["entrypoint"])


def test_the_slurm_file_is_a_script() -> None:
    script = block("bash")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    check_command(script.replace("\\\n", "").strip().splitlines()[-1].partition("semtf ")[2])


def check_command(line: str) -> None:
    """The options of a line are those of the command."""
    from semtf.cli.predict_batch import command

    known = {name for parameter in command.params for name in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", line)) - {"--overlap", "--nodes"} <= known
    assert "predict-batch" in line
