"""The table of adapters: what comes from it, and an adapter that is added while running."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import semtf
from semtf.adaptation import adapter, adapter_selection, registry
from semtf.adaptation.adapter_selection import AdapterTrial
from semtf.adaptation.criterion import Criterion
from semtf.adaptation.gan_adapters import GANAdapter
from semtf.adapter_table import ADAPTERS, AdapterInfo
from semtf.cli.train import command
from semtf.config import AdaptationConfig, RunConfig
from semtf.data.dataset import open_dataset
from semtf.errors import InputError
from semtf.stages import adapted_keys

DOCS = Path(__file__).parents[2] / "docs" / "adaptation.md"


@pytest.fixture
def brightness() -> Iterator[str]:
    """The documentation's example of an adapter, registered."""
    (block,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
        if "@register" in block
    ]
    exec(block, {"__name__": "documentation"})  # noqa: S102 - our own documentation
    yield "brightness"
    registry.unregister("brightness")


def test_every_adapter_of_the_table_has_a_class_and_a_cost_of_its_own() -> None:
    assert set(registry.CLASSES) == set(ADAPTERS)
    assert len({info.cost for info in ADAPTERS.values()}) == len(ADAPTERS)
    for name, info in ADAPTERS.items():
        assert issubclass(registry.CLASSES[name], GANAdapter) == info.trained
    assert set(AdaptationConfig().candidates) == set(ADAPTERS) - {"cut"}


def test_the_documents_table_is_the_table_of_adapters() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\d+) \| (yes|no) \| (.+) \|$", DOCS.read_text(), re.MULTILINE
    )
    assert rows == [
        (name, str(info.cost), "yes" if info.trained else "no", info.description)
        for name, info in sorted(ADAPTERS.items(), key=lambda item: item[1].cost)
    ]


def test_the_command_line_offers_every_adapter_and_auto() -> None:
    text = CliRunner().invoke(command, ["--help"], terminal_width=300).output
    (choices,) = re.findall(r"--adapter \[(.*?)\]", text)
    assert choices.split("|") == [*ADAPTERS, "auto"]


def trial(name: str, score: float) -> AdapterTrial:
    return AdapterTrial(name, 1.0, Criterion(0, 0, 0, 0, 0, 0, None, score))


@pytest.mark.parametrize("name", ADAPTERS)
def test_auto_can_take_every_adapter(name: str) -> None:
    dearest = max(ADAPTERS, key=lambda other: ADAPTERS[other].cost)
    assert adapter_selection.choose([trial(dearest, 2.0), trial(name, 1.0)])[0] == name


def test_of_equal_scores_auto_takes_the_lowest_cost() -> None:
    ranked = sorted(ADAPTERS, key=lambda name: ADAPTERS[name].cost)
    assert ranked == ["none", "percentile", "moment", "fda", "adain", "cut", "cyclegan"]
    for i, name in enumerate(ranked):
        trials = [trial(other, 1.0) for other in reversed(ranked[i:])]
        assert adapter_selection.choose(trials)[0] == name


def test_a_registered_adapter_is_trained_by_name_and_read_again(
    brightness: str, fab: Path, small_config: RunConfig, tmp_path: Path
) -> None:
    config = small_config.with_settings(
        {"adaptation.adapter": brightness, "classification.backbone": "statistics"}
    )
    run = semtf.train(fab, 2, run=tmp_path / "run", config=config)
    dataset = open_dataset(fab, cases=[2])
    simulator, difference = dataset.simulator(2), np.load(run.adaptation(2) / "difference.npy")
    assert difference == pytest.approx(
        dataset.fab(2).images.mean() - simulator.mean_sem().mean(), rel=1e-4
    )
    expected = np.rint(np.clip(simulator.mean_sem() + difference, 0, 255))
    np.testing.assert_array_equal(adapted_keys(semtf.Run.open(run.path), simulator), expected)


def test_auto_considers_a_registered_adapter(
    brightness: str, fab: Path, small_config: RunConfig, tmp_path: Path
) -> None:
    config = small_config.with_settings(
        {
            "adaptation.adapter": "auto",
            "adaptation.candidates": '["brightness", "none"]',
            "classification.backbone": "statistics",
        }
    )
    run = semtf.train(fab, 2, run=tmp_path / "run", config=config)
    folder = run.adaptation(2)
    assert json.loads((folder / "selection.json").read_text())["adapter"] == brightness
    loaded = adapter.load(folder, run.config.image, run.config.adaptation)
    assert isinstance(loaded, registry.CLASSES[brightness])


def test_names_that_are_taken_or_unknown_are_refused(brightness: str) -> None:
    for name in ("auto", "moment", brightness):
        with pytest.raises(ValueError, match=f"'{name}' is taken"):
            registry.register(name, AdapterInfo(7, "another"))
    with pytest.raises(ValueError, match="give its AdapterInfo"):
        registry.register("sharpness")
    with pytest.raises(InputError, match=r"adaptation\.adapter: 'sharpness' is none of cyclegan"):
        AdaptationConfig(adapter="sharpness")
    with pytest.raises(InputError, match=r"adaptation\.candidates: 'sharpness'"):
        AdaptationConfig(adapter="auto", candidates=("none", "sharpness"))
    with pytest.raises(InputError, match=r"adaptation\.candidates=\[\]: --adapter auto needs one"):
        AdaptationConfig(adapter="auto", candidates=())
    text = RunConfig(adaptation=AdaptationConfig(adapter=brightness)).to_json()
    assert RunConfig.from_json(text).adaptation.adapter == brightness
    with pytest.raises(InputError, match="registered first"):
        RunConfig.from_json(text.replace(brightness, "sharpness"))
