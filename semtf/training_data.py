"""The data set of a training: files, or arrays that are open already."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semtf.config import RunConfig
from semtf.data.dataset import Dataset, open_dataset
from semtf.data.image_folder import open_images
from semtf.errors import InputError


def open_training_data(
    data: Path | str | Dataset,
    config: RunConfig,
    cases: Sequence[int],
    *,
    fab: Mapping[int, Path | str] | None,
    range16: tuple[float, float] | None,
    skip_bad: bool,
    cache: Path | str | None,
) -> Dataset:
    """The data set with some of its cases; arguments as those of `semtf.pipeline.train`.

    Raises:
        InputError: an image is bad, or an open data set does not fit the settings.
    """
    if isinstance(data, Dataset):
        return _arrays_for(data, cases, config, fab)
    size = config.image.shape
    return open_dataset(
        data,
        cases=cases,
        fab={
            number: open_images(path, size=size, skip_bad=skip_bad, range16=range16)
            for number, path in (fab or {}).items()
        },
        cache=None if cache is None else Path(cache),
        skip_bad=skip_bad,
        size=size,
    )


def _arrays_for(
    dataset: Dataset, cases: Sequence[int], config: RunConfig, fab: Mapping[int, Any] | None
) -> Dataset:
    """An open data set, once it is certain that a run can be trained on it."""
    if fab:
        raise InputError("--fab: the data set is open already; give its folder, or leave fab out")
    if dataset.shape != config.image.shape:
        rows, columns = dataset.shape
        raise InputError(
            f"images of {rows} x {columns} pixels, the settings say {config.image.height} x "
            f"{config.image.width}; set image.height and image.width"
        )
    return dataset.with_cases(cases)
