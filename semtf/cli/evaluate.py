"""`semtf evaluate`: RMSE of predicted depth maps."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semtf.cli.options import FOLDER, json_option, size_option
from semtf.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from semtf.report.records import Evaluation


@click.command(name="evaluate")
@click.option("--predictions", required=True, type=FOLDER, help="Folder or zip of depth maps.")
@click.option("--truth", type=FOLDER, help="Folder or zip of true depth maps.")
@click.option("--cases", type=FOLDER, help="CSV with the columns name and case: the true cases.")
@click.option("--table", type=FOLDER, help="predictions.csv: also judge the predicted cases.")
@click.option("--sites", type=FOLDER, help="CSV with name and site, for --table and --sigma.")
@click.option(
    "--sigma",
    is_flag=True,
    help="Also whether sigma holds: coverage by zone. Needs predictions with --arrays.",
)
@click.option(
    "--average-depth",
    type=FOLDER,
    help="A data set whose fab images were predicted with --arrays, instead of --truth.",
)
@click.option(
    "--run",
    type=FOLDER,
    help="The run that predicted: its report shows the result; for --average-depth, too.",
)
@size_option
@json_option
def command(
    predictions: Path,
    truth: Path | None,
    cases: Path | None,
    table: Path | None,
    sites: Path | None,
    sigma: bool,
    average_depth: Path | None,
    run: Path | None,
    size: tuple[int, int] | None,
    as_json: bool,
) -> None:
    """RMSE in grey levels over all pixels, by case where the cases are given.

    With --table also the accuracy of the predicted cases by image and by site, their confusion
    matrix, and what wrong cases cost. With --sigma also how many pixels lie inside their 90 %
    interval, by zone, and by case, site and similarity where --cases, --sites and --table are
    given; the interval behind each coverage comes from the bootstrap over images, or over sites.

    With --average-depth no truth is needed: the means of sites are compared with the data set's
    average_depth.csv, and their differences with their uncertainties (normalised errors).
    """
    if average_depth is not None:
        click.echo(_site_means(predictions, average_depth, run, as_json))
        return
    if truth is None:
        raise InputError("--truth: give the true depth maps, or --average-depth DATA")
    from semtf.evaluation.rmse import match, read_cases, score
    from semtf.run import Run

    evaluated = None if run is None else Run.open(run)
    depth, true, names = match(predictions, truth, size)
    true_cases = None if cases is None else read_cases(cases, names)
    result: dict[str, Any] = asdict(score(depth, true, true_cases))
    if table is not None:
        if true_cases is None:
            raise InputError("--table: the true cases are needed, too; give --cases")
        from semtf.estimation.predictions import read_column
        from semtf.evaluation.cases import score_cases

        voters = None if sites is None else read_column(sites, "site", names)
        case_score = score_cases(read_cases(table, names), true_cases, depth, true, voters)
        result["classification"] = asdict(case_score)
    elif sites is not None and not sigma:
        raise InputError("--sites: only --table and --sigma use it; give one, or leave it out")
    if sigma:
        result["sigma"] = _coverage(predictions, names, true, true_cases, table, sites)
    click.echo(json.dumps(result) if as_json else _text(result))
    if evaluated is not None:
        from semtf.report.records import record

        record(evaluated, _record(predictions, result))


def _record(predictions: Path, result: dict[str, Any]) -> "Evaluation":
    """The result as the run's report shows it."""
    from semtf.report.records import Evaluation

    zones = [row for row in result.get("sigma", []) if row["by"] == "all"]
    return Evaluation(
        predictions=str(predictions),
        count=result["images"],
        rmse=result["rmse"],
        rmse_by_case=result["rmse_by_case"],
        accuracy=result.get("classification", {}).get("accuracy"),
        coverage=sum(row["coverage"] * row["pixels"] for row in zones) if zones else None,
    )


def _site_means(predictions: Path, data: Path, run: Path | None, as_json: bool) -> str:
    """The normalised errors of sites, summed up by case."""
    from semtf.evaluation.site_means import check_site_means

    table = check_site_means(predictions, data, run)
    within = table["en"].abs() <= 1
    rows = [
        {
            "case": int(part["case"].iloc[0]),
            "sites": len(part),
            "within": float(within[part.index].mean()),
            "rms_en": float((part["en"] ** 2).mean() ** 0.5),
            "rms_difference": float(((part["expected"] - part["reference"]) ** 2).mean() ** 0.5),
            "u": float(part["u"].mean()),
            "share": float(part["share"].iloc[0]),
        }
        for _, part in table.groupby("case")
    ]
    if as_json:
        return json.dumps({"cases": rows, "sites": json.loads(table.to_json(orient="records"))})
    return "\n".join(
        f"case {row['case']}: {row['within']:.1%} of {row['sites']} sites with |E_n| of at most 1 "
        f"(about 95 % where sigma holds); differences of {row['rms_difference']:.2f} grey levels "
        f"(RMS), mean u {row['u']:.2f}; crops are {row['share']:.0%} of the field of view"
        for row in rows
    )


def _coverage(
    predictions: Path,
    names: "npt.NDArray[np.str_]",
    truth: "npt.NDArray[np.uint8]",
    cases: "npt.NDArray[np.int64] | None",
    table: Path | None,
    sites: Path | None,
) -> list[dict[str, Any]]:
    """The rows of the coverage's table."""
    from semtf.estimation.predictions import read_column
    from semtf.evaluation.coverage import Judged, coverage_table, read_estimates

    depth, sigma = read_estimates(predictions, names, truth.shape[1:])
    similarity = None if table is None else read_column(table, "similarity", names).astype(float)
    rows = coverage_table(
        Judged(depth, sigma, truth),
        cases=cases,
        sites=None if sites is None else read_column(sites, "site", names),
        similarity=similarity,
    )
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def _text(result: dict[str, Any]) -> str:
    lines = [f"RMSE {result['rmse']:.3f} over {result['images']} images"]
    lines += [f"case {case}: {value:.3f}" for case, value in result["rmse_by_case"].items()]
    if "classification" in result:
        case_score = result["classification"]
        lines.append(f"case right: {case_score['accuracy']:.2%} of images")
        if case_score["site_accuracy"] is not None:
            lines.append(f"case right: {case_score['site_accuracy']:.2%} of sites")
        lines.append(f"RMSE where it is right: {case_score['rmse_of_right']:.3f}")
        lines.append(f"cost of wrong cases: {case_score['cost']:.3f}")
        for case, row in case_score["confusion"].items():
            counts = ", ".join(f"{count} as {other}" for other, count in row.items())
            lines.append(f"true case {case}: {counts}")
    for row in result.get("sigma", []):
        group = "" if row["by"] == "all" else f"{row['by']} {row['group']}, "
        lines.append(
            f"{group}{row['zone']}: {row['coverage']:.1%} of pixels in their 90 % interval "
            f"({row['low']:.1%} to {row['high']:.1%}), half width {row['width']:.2f}, "
            f"{row['right']:.1%} within half a level"
        )
    return "\n".join(lines)
