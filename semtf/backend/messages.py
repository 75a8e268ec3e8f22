"""Protocol buffers as JSON objects."""

import inspect
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

# protobuf renamed it with release 5.26; releases 3.20 and 4.25 of the classic set have the first.
NAMES = ("including_default_value_fields", "always_print_fields_with_no_presence")


def as_json(message: Message) -> dict[str, Any]:
    """A message as an object of JSON, with its fields of value zero."""
    known = inspect.signature(json_format.MessageToDict).parameters
    option = next(name for name in NAMES if name in known)
    options: dict[str, Any] = {option: True, "preserving_proto_field_name": True}
    return json_format.MessageToDict(message, **options)
