"""``semtf.json``, what is known of an export beside its SavedModel; read without TensorFlow."""

from pathlib import Path
from typing import Any

from semtf.errors import InputError
from semtf.formats import migrated
from semtf.json_fields import parse_json

EXPORT_METADATA = "semtf.json"


def read_export_metadata(folder: Path) -> dict[str, Any]:
    """The contents of ``semtf.json``; empty where the model is no export of semtf.

    Raises:
        InputError: the file cannot be read, or a newer semtf wrote it.
    """
    try:
        document = parse_json((folder / EXPORT_METADATA).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / EXPORT_METADATA}: cannot be read ({error}); export again"
        ) from error
    return migrated("export", document, str(folder / EXPORT_METADATA))
