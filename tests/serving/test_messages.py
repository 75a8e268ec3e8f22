"""What a client reads of an error of TensorFlow's."""

import pytest

from semtf.serving.messages import readable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "Graph execution error:\n\nDetected at node Assert defined at (most recent):\n"
            "<stack traces unavailable>\nassertion failed: [images must be [batch, 72, 48]; got "
            "shape [2 48 72]]\n\t [[{{node Assert_1/Assert}}]] [Op:__inference_signature_7]",
            "images must be [batch, 72, 48]; got shape [2 48 72]",
        ),
        (
            "Invalid PNG data, size 3\n\t [[{{node map/while/DecodePng}}]]",
            "Invalid PNG data, size 3",
        ),
        ("plain", "plain"),
    ],
)
def test_readable(text: str, shown: str) -> None:
    assert readable(text) == shown
