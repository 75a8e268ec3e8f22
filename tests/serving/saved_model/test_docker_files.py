"""The files for containers that an export leaves beside the versions."""

import re
from pathlib import Path

from semtf.serving.saved_model.docker_files import write_docker_files
from semtf.serving.saved_model.graph_assertions import MAX_BATCH


def test_files_are_written_once(tmp_path: Path) -> None:
    write_docker_files(tmp_path)
    folder = tmp_path / "serving"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "Dockerfile",
        "Dockerfile.scann",
        "batching.config",
        "compose.yaml",
        "models.config",
    }
    (folder / "models.config").write_text("mine\n")
    (folder / "Dockerfile").unlink()
    write_docker_files(tmp_path)
    assert (folder / "models.config").read_text() == "mine\n"
    assert {path.name for path in folder.iterdir()} == names


def test_they_fit_together(tmp_path: Path) -> None:
    write_docker_files(tmp_path)
    for name, image in (("Dockerfile", "tensorflow/serving:"), ("Dockerfile.scann", "scann")):
        text = (tmp_path / "serving" / name).read_text()
        (source,) = re.findall(r"^FROM (\S+)$", text, re.MULTILINE)
        assert image in source
        (copied,) = re.findall(r"^COPY (serving/.*) /config/$", text, re.MULTILINE)
        for path in copied.split():
            assert (tmp_path / path).is_file()
            assert f"/config/{Path(path).name}" in text.split("ENTRYPOINT")[1]
    compose = (tmp_path / "serving" / "compose.yaml").read_text()
    for path in re.findall(r"=/models/semtf/(\S+)", compose):
        assert (tmp_path / path).is_file()
    assert re.findall(r'"(\S+):850[01]:850[01]"', compose) == ["127.0.0.1"] * 2
    batching = (tmp_path / "serving" / "batching.config").read_text()
    sizes = dict(re.findall(r"(\w+) \{ value: (\w+) \}", batching))
    # A request as large as the graph takes must fit; smaller batches are executed.
    assert int(sizes["max_batch_size"]) == MAX_BATCH
    assert int(sizes["max_execution_batch_size"]) == 64
    assert sizes["enable_large_batch_splitting"] == "true"
