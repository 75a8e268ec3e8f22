"""The models of a server: one by the command line, or several by TensorFlow Serving's text proto.

The file is a ``ModelServerConfig`` of ``model_server_config.proto``; `models.config` beside an
export is one. It is read again when it changes.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from semtf.errors import InputError
from semtf.serving.server.addresses import MODEL_NAME, is_model_name
from semtf.serving.server.version import Options

PLATFORMS = ("", "tensorflow")


@dataclass(frozen=True)
class ModelConfig:
    """One model: its name in addresses, its folder of version folders, and how it is served."""

    name: str
    folder: Path
    options: Options


def read_model_config(path: Path, options: Options) -> dict[str, ModelConfig]:
    """The models of a file, by name.

    Args:
        path: the file; relative folders in it are relative to its own.
        options: what the file does not say: batching, watching.

    Raises:
        InputError: it is no such file, or names something that is not served here.
    """
    try:
        from google.protobuf import text_format
        from tensorflow_serving.config import model_server_config_pb2
    except ModuleNotFoundError as error:
        raise InputError(
            f"--model-config-file: the package {error.name} is missing; pip install semtf[grpc]"
        ) from error
    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), config)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise InputError(f"--model-config-file {path}: cannot be read ({error})") from error
    models: dict[str, ModelConfig] = {}
    for entry in config.model_config_list.config:
        if not entry.name or not entry.base_path:
            raise InputError(f"{path}: a model has no name or no base_path; give both")
        if not is_model_name(entry.name):
            raise InputError(f"{path}: the model name {entry.name!r}: {MODEL_NAME}")
        if "\0" in entry.base_path:
            raise InputError(f"{path}: the base_path of {entry.name} holds a NUL; mend it")
        if entry.name in models:
            raise InputError(f"{path}: the model {entry.name} is there twice; leave one")
        if entry.model_platform not in PLATFORMS:
            raise InputError(
                f"{path}: the model_platform {entry.model_platform} of {entry.name} is not served; "
                'it must be "tensorflow"'
            )
        folder = path.resolve().parent / entry.base_path
        served = _options(entry, options)
        models[entry.name] = ModelConfig(entry.name, folder, served)
    if not models:
        raise InputError(f"{path}: has no model_config_list with a model; add one")
    return models


def _options(entry: Any, options: Options) -> Options:
    """The options with the labels and the policy of an entry."""
    policy = entry.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    latest: int | None = 1
    specific: tuple[int, ...] | None = None
    if choice == "latest":
        latest = policy.latest.num_versions or 1
    elif choice == "all":
        latest = None
    elif choice == "specific":
        latest, specific = None, tuple(policy.specific.versions)
    labels = dict(entry.version_labels)
    return replace(options, labels=labels, latest=latest, specific=specific)


class ConfigFile:
    """A file of models, and whether it changed."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        self._options = options
        self._stamp: tuple[int, int] | None = None

    def read(self) -> dict[str, ModelConfig]:
        """The models; raises InputError as `read_model_config` does."""
        self._stamp = self._now()
        return read_model_config(self._path, self._options)

    def changed(self) -> dict[str, ModelConfig] | None:
        """The models where the file has changed since it was read, else None."""
        return None if self._now() == self._stamp else self.read()

    def _now(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size
