"""``semtf.json``, the note beside a SavedModel; read without TensorFlow."""

import json
from pathlib import Path
from typing import Any

from semtf.errors import InputError

EXPORT_METADATA = "semtf.json"


def read_export_metadata(folder: Path) -> dict[str, Any]:
    """What ``semtf.json`` says of an export; nothing where the model is not one of semtf's."""
    try:
        note: dict[str, Any] = json.loads((folder / EXPORT_METADATA).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / EXPORT_METADATA}: cannot be read ({error}); export again"
        ) from error
    return note
