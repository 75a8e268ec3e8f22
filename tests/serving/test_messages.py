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
        (
            "{{function_node __wrapped____MklMatMul_device_/job:localhost}} indices[0] = 9 is not "
            "in [0, 5)\n\t [[{{node Gather}}]] [Op:GatherV2]",
            "indices[0] = 9 is not in [0, 5)",
        ),
        (
            "{{function_node __inference_stored_12}} {{function_node __inference_stored_12}} "
            "assertion failed: [pair 7 is none of the 5 pairs of case 2]\n\t [[{{node Assert}}]]",
            "pair 7 is none of the 5 pairs of case 2",
        ),
        (
            "Invalid PNG data, size 3\n\t [[{{function_node body_7}}{{node map/DecodePng}}]]",
            "Invalid PNG data, size 3",
        ),
        (
            "2 root error(s) found.\n  (0) INVALID_ARGUMENT: Invalid PNG data, size 3\n\t "
            "[[{{node a}}]]\n\t [[{{node b}}]]\n  (1) INVALID_ARGUMENT: Invalid PNG data, size 3"
            "\n\t [[{{node a}}]]\n0 successful operations.\n0 derived errors ignored.",
            "Invalid PNG data, size 3 Invalid PNG data, size 3",
        ),
        (
            "Graph execution error:\n\nDetected at node map/while/DecodePng defined at (most "
            "recent call last):\n<stack traces unavailable>\nInvalid PNG data, "
            "size 3\n\t [[{{node a}}]]",
            "Invalid PNG data, size 3",
        ),
        ("plain", "plain"),
    ],
)
def test_readable(text: str, shown: str) -> None:
    assert readable(text) == shown
