"""``timings.json`` of a run folder: the seconds that each of its parts took."""

import json
from pathlib import Path

from semtf.json_fields import parse_json
from semtf.lock import Lock, always
from semtf.outputs import replacing

TIMINGS = "timings.json"


def read_timings(folder: Path) -> dict[str, float]:
    """The seconds by part; empty where none were noted."""
    try:
        seconds: dict[str, float] = parse_json((folder / TIMINGS).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return seconds


def note_timing(folder: Path, part: str, seconds: float) -> None:
    """Note the seconds of a part; several processes may note at once."""
    with Lock(folder, "timings").held("noted", waits=always):
        timings = read_timings(folder) | {part: round(seconds, 1)}
        with replacing(folder / TIMINGS) as partial:
            partial.write_text(json.dumps(timings, indent=2) + "\n", encoding="utf-8")
