"""The settings of a run: frozen dataclasses, their JSON form and the presets."""

import dataclasses
import json
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from semtf.errors import InputError

CASES = (1, 2, 3, 4)
Case = Literal[1, 2, 3, 4]
Adapter = Literal["cyclegan", "none", "percentile", "moment", "fda", "adain", "cut"]
AdapterChoice = Literal[Adapter, "auto"]
Norm = Literal["batch", "instance", "group", "none"]
Padding = Literal["replicate", "zero"]
Loss = Literal["wgan-gp", "lsgan"]
Identity = Literal["input", "target"]
Precision = Literal["float32", "mixed_bfloat16"]
Weights = Literal["nearest", "uniform", "softmax", "inverse", "kernel", "reconstruction"]
Backbone = Literal["efficientnet_b0", "small", "statistics"]
Schedule = Literal["cosine", "plateau"]
IndexKind = Literal["scann", "exact"]
Align = Literal["shift", "centre"]


def plate_level(case: int) -> int:
    """Grey level of the plate in the depth maps of a case: 140, 150, 160, 170."""
    return 130 + 10 * case


@dataclass(frozen=True)
class ImageConfig:
    """Size of every image and depth map, in pixels; multiples of 8, at least 16."""

    height: int = 72
    width: int = 48

    def __post_init__(self) -> None:
        for side in (self.height, self.width):
            if side < 16 or side % 8:
                raise InputError(
                    f"image size {self.height},{self.width}: rows and columns must be multiples "
                    "of 8, at least 16, for the critic's strides; crop the images"
                )

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width


@dataclass(frozen=True)
class AdaptationConfig:
    """The adapter: networks, losses and schedule (facts of the recipe in docs/adaptation.md).

    ``candidates`` are what ``adapter="auto"`` chooses from. ``fda_beta`` is the half width of
    FDA's window over the images' shorter side. ``nce_…`` belong to CUT: patches a layer, features
    a patch, temperature, weight of the loss, and whether it is taken on fab images too.
    """

    adapter: AdapterChoice = "cyclegan"
    candidates: tuple[Adapter, ...] = ("cyclegan", "none", "percentile", "moment", "fda", "adain")
    width: int = 16
    blocks: int = 2
    norm: Norm = "instance"
    critic_norm: Norm = "instance"
    padding: Padding = "zero"
    dropout: float = 0.0
    batch: int = 16
    critic_steps: int = 2
    loss: Loss = "wgan-gp"
    identity: Identity = "input"
    lambda_gp: float = 10.0
    lambda_cycle: float = 10.0
    lambda_identity: float = 0.5
    learning_rate: float = 2e-4
    beta_1: float = 0.5
    beta_2: float = 0.999
    first_epochs: int = 12
    other_epochs: int = 3
    steps_per_epoch: int | None = 30
    halve_at: tuple[int, ...] = ()
    ema: float = 0.99
    precision: Precision = "float32"
    xla: bool = False
    tensorboard: bool = True
    fda_beta: float = 0.05
    nce_patches: int = 64
    nce_features: int = 64
    nce_temperature: float = 0.07
    lambda_nce: float = 1.0
    nce_identity: bool = True


@dataclass(frozen=True)
class ClassificationConfig:
    """The case classifier and its training (docs/classification.md).

    ``shift`` is in pixels, ``noise`` in grey levels; ``warm_up`` is a share of all steps;
    ``wrong`` is the accepted share of wrong images among those that are not in doubt.
    """

    backbone: Backbone = "efficientnet_b0"
    batch: int = 32
    epochs: int = 9
    steps_per_epoch: int | None = 50
    learning_rate: float = 6e-3
    weight_decay: float = 4e-3
    schedule: Schedule = "cosine"
    warm_up: float = 0.05
    patience: int = 5
    dropout: float = 0.2
    drop_connect: float = 0.0
    momentum: float = 0.9
    shift: int = 2
    flip: bool = False
    noise: float = 0.0
    validation: float = 0.15
    folds: int = 5
    wrong: float = 1e-3


@dataclass(frozen=True)
class RetrievalConfig:
    """Embedding, search and blending of the stored pairs (docs/retrieval.md).

    ``align="shift"`` searches every key in every shift of up to ``shift`` pixels;
    ``"centre"`` only with its hole in the middle, which takes a twenty-fifth of the index.
    ``pool`` is what reconstruction chooses its ``neighbours`` from. With ``tune``, training
    chooses ``neighbours``, ``weights``, ``temperature`` and ``ridge`` of each case anew.
    """

    align: Align = "shift"
    shift: int = 2
    dimensions: int = 64
    index: IndexKind = "scann"
    recall: float = 0.99
    candidates: int = 128
    rerank: int = 32
    subpixel: bool = False
    pool: int = 256
    neighbours: int = 64
    weights: Weights = "reconstruction"
    temperature: float = 0.01
    ridge: float = 0.3
    tune: bool = True


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the result of a run, beside the data."""

    preset: str = "quick"
    seed: int = 0
    image: ImageConfig = field(default_factory=ImageConfig)
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)
    classification: ClassificationConfig = field(default_factory=ClassificationConfig)
    retrieval: RetrievalConfig = field(default_factory=RetrievalConfig)

    def to_json(self) -> str:
        """The config as indented JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "RunConfig":
        """Read a config; raises InputError on an unknown field or a value of the wrong type."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"config is not JSON: {error}") from error
        return typing.cast(RunConfig, build(cls, values, "config"))

    def with_settings(self, settings: dict[str, str]) -> "RunConfig":
        """A copy with dotted fields replaced, as in ``{"adaptation.width": "32"}``."""
        values = dataclasses.asdict(self)
        for name, text in settings.items():
            *path, last = name.split(".")
            target: Any = values
            for part in path:
                target = target.get(part) if isinstance(target, dict) else None
            if not isinstance(target, dict) or last not in target:
                raise InputError(f"--set {name}: no such field; see `semtf config` for all fields")
            target[last] = _parse(text)
        return typing.cast(RunConfig, build(type(self), values, "--set"))


def preset(name: str) -> RunConfig:
    """The config of a preset, by name; raises InputError where there is none."""
    if name not in PRESETS:
        raise InputError(f"--preset {name}: no such preset; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def build(cls: type, values: Any, where: str) -> Any:
    """A dataclass from the JSON form of its fields; what is left out keeps its default.

    Args:
        cls: the dataclass; its fields may be dataclasses, tuples of one type and literals.
        values: what `json.loads` gave.
        where: what the values are called in messages.

    Raises:
        InputError: an unknown field, or a value of the wrong type.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where}: expected an object with the fields of {cls.__name__}")
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise InputError(f"{where}: no such field: {', '.join(unknown)}")
    return cls(**{name: _value(hints[name], v, f"{where}.{name}") for name, v in values.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, where)
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in options:
            raise InputError(f"{where}: {value!r} is none of {', '.join(map(str, options))}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{where}: expected a list, got {value!r}")
        return tuple(_value(options[0], v, where) for v in value)
    kinds = options or (hint,)
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) not in kinds:
        names = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
        raise InputError(f"{where}: expected {names}, got {value!r}")
    return value


PRESETS = {
    "quick": RunConfig(),
    "challenge": RunConfig(
        preset="challenge",
        adaptation=AdaptationConfig(
            width=64,
            norm="batch",
            critic_norm="group",
            padding="replicate",
            dropout=0.3,
            batch=128,
            critic_steps=5,
            first_epochs=300,
            other_epochs=100,
            steps_per_epoch=None,
            halve_at=(100, 200, 300),
            nce_patches=256,
            nce_features=256,
        ),
        classification=ClassificationConfig(
            epochs=100,
            batch=64,
            steps_per_epoch=None,
            learning_rate=1e-4,
            schedule="plateau",
            drop_connect=0.2,
            momentum=0.99,
            flip=True,
            noise=2.0,
            validation=0.2,
        ),
        retrieval=RetrievalConfig(neighbours=1, weights="nearest", tune=False),
    ),
}
PRESETS["best"] = dataclasses.replace(
    PRESETS["challenge"],
    preset="best",
    adaptation=dataclasses.replace(PRESETS["challenge"].adaptation, norm="instance"),
    retrieval=RetrievalConfig(),
)
