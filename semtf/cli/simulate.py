"""`semtf simulate`: make a synthetic fab's data set."""

from pathlib import Path

import click


@click.command(name="simulate")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--pairs", default=1000, show_default=True, help="Simulator structures a case.")
@click.option("--train", default=400, show_default=True, help="Fab training images a case.")
@click.option("--test", default=400, show_default=True, help="Fab test images a case.")
@click.option("--seed", default=0, show_default=True, help="Seed of everything drawn.")
@click.option(
    "--fab",
    type=click.Choice(["dose", "tonal", "struct"]),
    default="struct",
    show_default=True,
    help="The fab's microscope.",
)
@click.option(
    "--target-keys", is_flag=True, help="Also write the pairs as the fab's microscope shows them."
)
@click.option(
    "--depth",
    type=click.Path(path_type=Path),
    help="Folder of depth maps to take the structures from, instead of drawing them.",
)
def command(
    out: Path,
    pairs: int,
    train: int,
    test: int,
    seed: int,
    fab: str,
    target_keys: bool,
    depth: Path | None,
) -> None:
    """Make a synthetic fab's data set in the challenge's layout, in the new folder OUT.

    Counts are per case: --test 400 writes 1600 test images.
    """
    from semtf.simulation.world import simulate

    simulate(
        out,
        pairs=pairs,
        train=train,
        test=test,
        seed=seed,
        fab=fab,
        target_keys=target_keys,
        depth=depth,
    )
    click.echo(f"{out}: {pairs} pairs, {train} fab and {test} test images a case ({fab} fab)")
