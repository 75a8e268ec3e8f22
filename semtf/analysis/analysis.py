"""The analysis of a data set: every number of it, before anything is trained."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semtf.analysis.counts import Counts, Files, count_case, count_files, rgb_shares
from semtf.analysis.depth_law import DepthLaw, fit_depth_law, plate_level
from semtf.analysis.distances import (
    Distance,
    GreyCurve,
    Mismatch,
    apply_grey_curve,
    compare,
    explain,
    find_mismatch,
)
from semtf.analysis.findings import Difficulty, Finding, find, judge
from semtf.analysis.geometry import Geometry, find_geometry
from semtf.analysis.margin import Averages, Margin, Offset, compare_offset, fit_margins
from semtf.analysis.noise import Maxima, Noise, find_maxima, find_noise
from semtf.analysis.plates import Plate, find_plate
from semtf.analysis.sample import Sample
from semtf.data import layout
from semtf.data.dataset import Dataset, open_dataset
from semtf.data.image_folder import first_image_size, open_images
from semtf.errors import InputError
from semtf.outputs import replacing
from semtf.progress import progress


@dataclass(frozen=True)
class CaseAnalysis:
    """The numbers of one case; each part says in its docstring what it holds."""

    counts: Counts
    distances: list[Distance]
    grey_curve: GreyCurve
    mismatch: Mismatch
    noise: Noise
    maxima_simulator: Maxima
    maxima_fab: Maxima
    plate: Plate
    depth_law: DepthLaw
    geometry: Geometry


@dataclass(frozen=True)
class Numbers:
    """The numbers of a data set: of its files, by case, and of its average depths."""

    files: Files
    cases: dict[int, CaseAnalysis]
    margin: dict[int, Margin]
    offset: Offset | None


@dataclass(frozen=True, repr=False, eq=False)
class Analysis:
    """What `analyze` found.

    Attributes:
        data: the folder or zip file.
        numbers: all that was measured.
        findings: what is unlike the challenge's data, and what to do about it.
        difficulty: how hard adaptation will be.
        samples: by case, the images that were looked at.
        averages: by case, the average depths that the margins were fitted to.
    """

    data: str
    numbers: Numbers
    findings: list[Finding]
    difficulty: Difficulty
    samples: dict[int, Sample]
    averages: dict[int, Averages]

    @property
    def margin(self) -> dict[int, Margin]:
        """By case, the margin of plate that explains the average depths of its sites."""
        return self.numbers.margin

    @property
    def depth_law(self) -> dict[int, DepthLaw]:
        """By case, plate and floor of the depth law and what it leaves unexplained."""
        return {case: numbers.depth_law for case, numbers in self.numbers.cases.items()}

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON has them: topic, then case (as text), then name; None for NaN."""
        cases = {str(k): dataclasses.asdict(c) for k, c in self.numbers.cases.items()}
        topics = [field.name for field in dataclasses.fields(CaseAnalysis)]
        offset = self.numbers.offset
        document = {
            "data": self.data,
            "files": dataclasses.asdict(self.numbers.files),
            **{
                topic: {case: numbers[topic] for case, numbers in cases.items()} for topic in topics
            },
            "margin": {str(k): dataclasses.asdict(m) for k, m in self.margin.items()},
            "offset": None if offset is None else dataclasses.asdict(offset),
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "difficulty": dataclasses.asdict(self.difficulty),
        }
        plain: dict[str, Any] = _plain(document)
        return plain

    def to_json(self) -> str:
        """The numbers as indented JSON."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def save(self, out: Path | str) -> Path:
        """Write the analysis as one self-contained HTML page.

        Raises:
            InputError: the name does not end in .html, or another kind of file has it.
        """
        from semtf.analysis.page import check_page, render

        out = Path(out)
        check_page(out, None)
        with replacing(out) as partial:
            partial.write_text(render(self), encoding="utf-8")
        return out

    def __repr__(self) -> str:
        pairs = sum(c.counts.pairs for c in self.numbers.cases.values())
        fab = sum(c.counts.fab for c in self.numbers.cases.values())
        return (
            f"Analysis({self.data!r}: {pairs} pairs, {fab} fab images; "
            f"adaptation: {self.difficulty.level}; {len(self.findings)} findings)"
        )

    def _repr_html_(self) -> str:
        from semtf.analysis.page import summary_html

        return summary_html(self)


def analyze(
    data: Path | str | Dataset,
    *,
    fab: Mapping[int, Path | str] | None = None,
    cache: Path | str | None = None,
) -> Analysis:
    """Look at a data set before anything is trained on it.

    Bad files are left out and counted. Pictures, distances and noise come from up to 1,500 pairs
    and 1,500 fab images a case, evenly spread; counts and average depths from all.

    Args:
        data: folder in the challenge's layout, the zip file of one, or a `Dataset`.
        fab: by case, plain folders of images to take in place of those in ``data``.
        cache: where packed images are kept.

    Returns:
        The numbers (`Analysis.to_dict`), in words (`findings`, `difficulty`), and as a page
        (`Analysis.save`).

    Raises:
        InputError: there is no data set, or a case has no images.
    """
    dataset = data if isinstance(data, Dataset) else open_for_analysis(data, fab, cache)
    if isinstance(data, Dataset) and fab:
        raise InputError("fab: the data set is open already; give its folder, or leave fab out")
    samples = {case: Sample.of(dataset, case) for case in dataset.cases}
    laws = fit_depth_law(
        {case: dataset.simulator(case).depth for case in dataset.cases},
        {case: dataset.simulator(case).bases for case in dataset.cases},
    )
    colour = rgb_shares(dataset, fab or ())
    cases = {}
    with progress("Analysing", len(samples)) as advance:
        for case, following in zip(samples, [*list(samples)[1:], None], strict=True):
            after = None if following is None else samples[following]
            counted = count_case(dataset, case, colour.get(case))
            cases[case] = _analyze_case(samples[case], after, counted, laws[case])
            advance(1, "")
    averages = {case: _averages(dataset, case) for case in dataset.cases}
    numbers = Numbers(
        count_files(dataset),
        cases,
        fit_margins(averages),
        compare_offset(averages),
    )
    return Analysis(
        str(dataset.root),
        numbers,
        find(numbers),
        judge(cases),
        samples,
        averages,
    )


def open_for_analysis(
    data: Path | str, fab: Mapping[int, Path | str] | None, cache: Path | str | None
) -> Dataset:
    """Open a data set in whatever size its images have, bad files left out."""
    source = layout.open_layout(data)
    table = layout.find_cases(source)
    size = first_image_size(source, layout.find_prefix(source) + "simulation_data/SEM")
    folders = {
        number: open_images(folder, size=size, skip_bad=True)
        for number, folder in (fab or {}).items()
    }
    return open_dataset(
        data,
        cases=layout.present_cases(source, table),
        fab=folders,
        cache=None if cache is None else Path(cache),
        skip_bad=True,
        size=size,
    )


def _analyze_case(
    sample: Sample, following: Sample | None, counted: Counts, law: DepthLaw
) -> CaseAnalysis:
    curved = apply_grey_curve(sample)
    compared = compare(sample, curved)
    mismatch = find_mismatch(sample, curved)
    sem = sample.simulator.sem
    return CaseAnalysis(
        counts=counted,
        distances=compared,
        grey_curve=explain(sample, curved, compared, mismatch),
        mismatch=mismatch,
        noise=find_noise(sample),
        maxima_simulator=find_maxima(sem[:, 0]),
        maxima_fab=find_maxima(np.asarray(sample.fab.images)),
        plate=find_plate(sample),
        depth_law=law,
        geometry=find_geometry(sample, following),
    )


def _averages(dataset: Dataset, case: int) -> Averages:
    depth = dataset.simulator(case).depth
    table = dataset.average_depth
    return Averages(
        plate=plate_level(depth),
        pixels=depth[0].size,
        simulator=depth.mean(axis=(1, 2), dtype=np.float64),
        sites=table["depth"][table["case"] == case].to_numpy(np.float64),
    )


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
