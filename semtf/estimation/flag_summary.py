"""What the flags of a whole prediction say about it."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from semtf.data.grey_levels import DARKEST
from semtf.data.image_sets import ImageSet
from semtf.progress import warn

MEANINGS = {
    "unlike_storage": "no stored pair is as similar as the fab's images normally are",
    "unusual_scale": "they are darker or brighter than the fab's images",
    "case_in_doubt": "the classifier is in doubt",
    "case_not_trained": "their case was not trained",
}
MANY = 0.2
"""Share of images with one flag from which a prediction as a whole is not to be trusted.

Of the fab that the run was trained for a few per cent are flagged (docs/reliability.md).
"""


class FlagSummary:
    """Counts the flags of a prediction's images.

    Args:
        images: that are estimated.

    Attributes:
        flagged: how many of them have a flag.
        counts: how many have it, by flag.
    """

    def __init__(self, images: ImageSet) -> None:
        self._images = images
        self.flagged = 0
        self.counts: Counter[str] = Counter()

    def add(self, flags: Iterable[Sequence[str]]) -> None:
        """Count the flags of some images."""
        for words in flags:
            self.flagged += bool(words)
            self.counts.update(words)

    def __str__(self) -> str:
        """How many images are flagged, and with what."""
        count = len(self._images)
        share = self.flagged / count if count else 0.0
        words = ", ".join(f"{number} {word}" for word, number in self.counts.most_common())
        flagged = f"{self.flagged} flagged ({share:.1%}) in predictions.csv"
        return f"{count} depth maps, {flagged}" + (f": {words}" if words else "")

    def warn(self) -> None:
        """Say what is wrong with the images as a whole."""
        dark = np.flatnonzero(self._images.images.max(axis=(1, 2), initial=0) <= DARKEST)
        if len(dark):
            warn(
                f"{len(dark)} images have no value above 1, such as {self._images.names[dark[0]]}: "
                "images in 0-1 must be multiplied by 255 before they are saved"
            )
        count = len(self._images)
        for word, number in self.counts.most_common():
            if number > MANY * count:
                meaning = MEANINGS.get(word, "see docs/retrieval.md")
                warn(
                    f"{number / count:.0%} of the images are flagged {word}: {meaning}; "
                    "the run was trained on other images, so take neither depth nor sigma nor "
                    "case for granted"
                )
