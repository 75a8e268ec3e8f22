"""The settings of a run: frozen dataclasses and their JSON form."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from semtf.adapter_table import ADAPTERS, AUTO, check_adapters
from semtf.bounds import Bounds, Count, NotNegative, PartialShare, Positive, Share, Whole, check
from semtf.cases import CHALLENGE, Cases, check_cases
from semtf.errors import InputError
from semtf.json_fields import build, parse_json

Norm = Literal["batch", "instance", "group", "none"]
CriticNorm = Literal["batch", "instance", "group", "spectral", "none"]
Padding = Literal["replicate", "zero"]
Loss = Literal["wgan-gp", "lsgan"]
Identity = Literal["input", "target"]
Precision = Literal["float32", "mixed_bfloat16"]
Strategy = Literal["auto", "one", "mirrored", "multiworker", "tpu"]
WEIGHTS = {
    "nearest": "the most similar pair alone",
    "uniform": "all alike",
    "softmax": "`exp(similarity / temperature)`",
    "inverse": "one over the squared distance",
    "kernel": "Gaussian, as wide as the distance of the last neighbour",
    "reconstruction": "the weights that rebuild the image from its neighbours' keys",
}
"""By name, what each weight function does; `semtf.retrieval.weighting` registers the functions."""
Weights = str
"""A name of `WEIGHTS`."""
Backbone = Literal["efficientnet_b0", "small", "statistics"]
Schedule = Literal["cosine", "plateau"]
IndexKind = Literal["scann", "exact"]
IndexChoice = Literal["auto", IndexKind]
Align = Literal["shift", "centre"]
Edges = Literal["replicate", "wrap"]
Epoch = Literal["best", "last"]
HoldOut = Literal["share", "fold"]
# The smallest image has 16 rows or columns: half of it stays in view.
Shift = Annotated[int, Bounds(at_least=0, at_most=8)]
Seed = Annotated[int, Bounds(at_least=0, at_most=2**31 - 1)]


SHAPE = (72, 48)
"""Rows and columns of an image where nothing else is asked for: the challenge's."""


@dataclass(frozen=True)
class ImageConfig:
    """Size of every image and depth map, in pixels; multiples of 8, at least 16."""

    height: int = SHAPE[0]
    width: int = SHAPE[1]

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

    ``adapter`` is a name in `ADAPTERS` or ``"auto"``, which chooses from ``candidates``.
    With ``early_stopping`` ``first_epochs`` and ``other_epochs`` are caps. ``decay`` is the share
    of the epochs, at their end, over which the learning rate falls to zero; ``critic_rate`` is the
    critics' learning rate over the generators'; a case that starts from another takes
    ``other_rate`` times both, ``learning_rate`` and ``critic_rate``.
    ``warm_up_steps`` come before the first epoch of new networks: generators learn the images of
    the adapter ``moment``, without critics.
    ``epoch`` is which epoch's generators are kept: the criterion's choice or the last.
    With ``match_mean`` the mean of a network's adapted images is moved to the fab's.
    ``synchronized`` has batch normalisation take mean and variance of all replicas' images.
    The critics' ``spectral`` norm divides the kernels of their convolutions by their largest
    singular values (T. Miyato et al., ICLR 2018), on one device.
    ``fda_beta`` is the half width of FDA's window over the images' shorter side. ``nce_…`` belong
    to CUT: patches a layer, features a patch, temperature, weight of the loss, and whether it is
    taken on fab images too.
    """

    adapter: str = "cyclegan"
    candidates: tuple[str, ...] = tuple(name for name, info in ADAPTERS.items() if info.candidate)
    width: Count = 16
    blocks: Whole = 2
    norm: Norm = "instance"
    critic_norm: CriticNorm = "instance"
    synchronized: bool = False
    padding: Padding = "zero"
    dropout: PartialShare = 0.0
    batch: Count = 16
    critic_steps: Count = 2
    loss: Loss = "wgan-gp"
    identity: Identity = "input"
    lambda_gp: NotNegative = 10.0
    lambda_cycle: NotNegative = 10.0
    lambda_identity: NotNegative = 0.5
    learning_rate: Positive = 4e-4
    critic_rate: Positive = 3.0
    other_rate: Positive = 0.5
    beta_1: PartialShare = 0.5
    beta_2: PartialShare = 0.999
    first_epochs: Count = 72
    other_epochs: Count = 18
    steps_per_epoch: Count | None = 15
    warm_up_steps: Whole = 60
    early_stopping: bool = True
    decay: PartialShare = 0.5
    halve_at: tuple[Whole, ...] = ()
    ema: PartialShare = 0.99
    epoch: Epoch = "best"
    match_mean: bool = True
    precision: Precision = "float32"
    xla: bool = False
    tensorboard: bool = True
    fda_beta: Annotated[float, Bounds(at_least=0, at_most=0.5)] = 0.05
    nce_patches: Count = 64
    nce_features: Count = 64
    nce_temperature: Positive = 0.07
    lambda_nce: NotNegative = 1.0
    nce_identity: bool = True

    def __post_init__(self) -> None:
        check(self, "adaptation")
        check_adapters("adaptation.adapter", (self.adapter,), (*ADAPTERS, AUTO))
        check_adapters("adaptation.candidates", self.candidates, tuple(ADAPTERS))
        if self.adapter == AUTO and not self.candidates:
            raise InputError("adaptation.candidates=[]: --adapter auto needs one to choose from")
        if "group" in (self.norm, self.critic_norm) and self.width % 4:
            raise InputError(f"adaptation.width={self.width}: 4 groups need a multiple of 4")


@dataclass(frozen=True)
class ClassificationConfig:
    """The case classifier and its training (docs/classification.md).

    ``epochs`` is a cap. With the schedule ``cosine`` the first ``cycle`` of them may be enough;
    another one of twice the length follows where too many images put aside are wrong. Plateaus are
    looked for until the cap. ``warm_up`` is a share of a cycle's steps;
    ``shift`` is in pixels, ``noise`` in grey levels;
    ``wrong`` is the accepted share of wrong images among those that are not in doubt. ``hold_out``
    puts aside the share ``validation`` of the sites, or the first of ``folds`` stratified folds.
    With ``blend`` the depth of an image in doubt blends two cases; ``synchronized`` has batch
    normalisation take mean and variance of all replicas' images.
    """

    backbone: Backbone = "efficientnet_b0"
    batch: Count = 32
    epochs: Count = 27
    cycle: Count = 9
    steps_per_epoch: Count | None = 50
    learning_rate: Positive = 6e-3
    weight_decay: NotNegative = 4e-3
    schedule: Schedule = "cosine"
    warm_up: Share = 0.05
    patience: Count = 5
    dropout: PartialShare = 0.2
    drop_connect: PartialShare = 0.0
    momentum: PartialShare = 0.9
    synchronized: bool = False
    shift: Shift = 2
    flip: bool = False
    noise: NotNegative = 0.0
    validation: PartialShare = 0.15
    hold_out: HoldOut = "share"
    folds: Annotated[int, Bounds(at_least=2)] = 5
    wrong: Share = 1e-3
    blend: bool = True

    def __post_init__(self) -> None:
        check(self, "classification")


@dataclass(frozen=True)
class RetrievalConfig:
    """Embedding, search and blending of the stored pairs (docs/retrieval.md).

    ``align="shift"`` searches every key in every shift of up to ``shift`` pixels;
    ``"centre"`` only with its hole in the middle, which takes a twenty-fifth of the index.
    ``edges`` is what a shift leaves at the border: the edge again, or what wrapped around. Without
    ``move_depth`` a depth map stays where it is when its key is moved.
    ``index="auto"`` is ScaNN where it loads, else the exact search.
    ``pool`` is what reconstruction chooses its ``neighbours`` from. With ``tune``, training
    chooses ``neighbours``, ``weights``, ``temperature`` and ``ridge`` of each case anew.
    """

    align: Align = "shift"
    shift: Shift = 2
    edges: Edges = "replicate"
    move_depth: bool = True
    dimensions: Count = 64
    index: IndexChoice = "auto"
    recall: Annotated[float, Bounds(above=0, at_most=1)] = 0.99
    candidates: Count = 128
    rerank: Count = 32
    subpixel: bool = False
    pool: Count = 256
    neighbours: Count = 64
    weights: Weights = "reconstruction"
    temperature: Positive = 0.01
    ridge: Positive = 0.3
    tune: bool = True

    def __post_init__(self) -> None:
        check(self, "retrieval")
        if self.weights not in WEIGHTS:
            raise InputError(f"retrieval.weights: {self.weights!r} is none of {', '.join(WEIGHTS)}")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the result of a run, beside the data.

    ``cases`` are those of the data set where that brings its own. With ``deterministic`` TensorFlow
    takes only operations that give the same bits every time (docs/reliability.md). ``strategy``
    says on which devices networks are trained (`semtf.distribution.choose_strategy`).
    """

    preset: str = "quick"
    seed: Seed = 0
    deterministic: bool = False
    strategy: Strategy = "auto"
    cases: Cases = CHALLENGE
    image: ImageConfig = field(default_factory=ImageConfig)
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)
    classification: ClassificationConfig = field(default_factory=ClassificationConfig)
    retrieval: RetrievalConfig = field(default_factory=RetrievalConfig)

    def __post_init__(self) -> None:
        check_cases(self.cases, "cases")
        check(self, "")

    def to_json(self) -> str:
        """The config as indented JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "RunConfig":
        """Read a config; raises InputError on an unknown field or a value of the wrong type."""
        try:
            values = parse_json(text)
        except json.JSONDecodeError as error:
            raise InputError(f"config is not JSON: {error}") from error
        return cls.from_values(values)

    @classmethod
    def from_values(cls, values: Any, name: str = "config") -> "RunConfig":
        """Check the fields of a config, as JSON has them; ``name`` is for error messages."""
        return build(cls, values, name)

    def with_settings(self, settings: Mapping[str, Any]) -> "RunConfig":
        """A copy with fields replaced.

        Args:
            settings: by dotted name, as in ``{"adaptation.width": 32}``, or by section, as in
                ``{"adaptation": {"width": 32}}``. Text counts as JSON where it is that, ``"32"``
                for example.

        Raises:
            InputError: there is no such field, or its value is wrong.
        """
        values = dataclasses.asdict(self)
        for name, value in _dotted(settings).items():
            *path, last = name.split(".")
            target: Any = values
            for part in path:
                target = target.get(part) if isinstance(target, dict) else None
            if not isinstance(target, dict) or last not in target:
                raise InputError(f"--set {name}: no such field; see `semtf config` for all fields")
            target[last] = _parse(value) if isinstance(value, str) else value
        return build(type(self), values, "config")


def _dotted(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted name, those of sections taken out of them."""
    sections = {field.name for field in dataclasses.fields(RunConfig)}
    dotted: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and name in sections:
            dotted |= {f"{name}.{field}": item for field, item in value.items()}
        else:
            dotted[str(name)] = value
    return dotted


def _parse(text: str) -> Any:
    try:
        return parse_json(text)
    except json.JSONDecodeError:
        return text
