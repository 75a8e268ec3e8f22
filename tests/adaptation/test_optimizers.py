"""`compile` of the adversarial models does what it is asked to, or says that it does not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from semtf.adaptation.callbacks import MovingAverage
from semtf.adaptation.cut import CUT
from semtf.adaptation.cyclegan import CycleGAN
from semtf.adaptation.gan import GAN
from semtf.backend.installed import is_classic
from semtf.checkpoint import Checkpoint
from semtf.config import AdaptationConfig, ImageConfig

IMAGE = ImageConfig(24, 16)
CONFIG = AdaptationConfig(
    warm_up_steps=0, width=4, batch=2, critic_steps=2, nce_patches=5, nce_features=6
)
both = pytest.mark.parametrize("kind", [CycleGAN, CUT])


def compiled(kind: type[GAN], **arguments: Any) -> GAN:
    keras.utils.set_random_seed(0)
    network = kind(IMAGE, CONFIG, 0)
    # Eagerly: what is told to `compile` is the same, and tracing takes longer than the steps.
    network.compile(**{"jit_compile": False, "run_eagerly": True, **arguments})
    return network


def fit(network: GAN, epochs: int = 1, **options: Any) -> keras.callbacks.History:
    images = np.random.default_rng(0).uniform(-1, 1, (2, 4, 24, 16, 1)).astype(np.float32)
    data = tf.data.Dataset.from_tensors(tuple(images)).repeat()
    return network.fit(data, epochs=epochs, steps_per_epoch=2, verbose=0, **options)


def learned(network: GAN) -> list[np.ndarray]:
    variables = (*network.generator_variables(), *network.critic_variables())
    return [np.array(variable) for variable in variables]


def rates(network: GAN) -> tuple[float, float]:
    found = network.generator_optimizer.learning_rate, network.critic_optimizer.learning_rate
    return float(found[0]), float(found[1])


def moved(before: list[np.ndarray], network: GAN) -> float:
    return max(np.abs(a - b).max() for a, b in zip(before, learned(network), strict=True))


@both
def test_weights_stay_at_a_rate_of_zero(kind: type[GAN]) -> None:
    network = compiled(
        kind,
        generator_optimizer=keras.optimizers.Adam(0.0),
        critic_optimizer=keras.optimizers.Adam(0.0),
    )
    before = learned(network)
    fit(network)
    assert moved(before, network) == 0


@both
def test_only_what_its_optimizer_moves_moves(kind: type[GAN]) -> None:
    network = compiled(kind, generator_optimizer=keras.optimizers.SGD(0.0))
    generators = [np.array(v) for v in network.generator_variables()]
    before = learned(network)
    fit(network)
    assert isinstance(network.critic_optimizer, keras.optimizers.Adam)
    for variable, old in zip(network.generator_variables(), generators, strict=True):
        np.testing.assert_array_equal(variable, old)
    assert moved(before, network) > 0


@both
def test_an_optimizer_of_ones_own_takes_its_own_step(kind: type[GAN]) -> None:
    """Plain gradient descent: ten times the rate goes ten times as far in the critics' step."""
    changes = []
    for rate in (1e-8, 1e-7):  # so small that both take the same gradients
        network = compiled(
            kind,
            generator_optimizer=keras.optimizers.SGD(0.0),
            critic_optimizer=keras.optimizers.SGD(rate),
        )
        before = [np.array(v, np.float64) for v in network.critic_variables()]
        fit(network)
        after = [np.array(v, np.float64) for v in network.critic_variables()]
        changes.append(
            np.concatenate([(b - a).ravel() for a, b in zip(before, after, strict=True)])
        )
    assert np.linalg.norm(changes[1]) == pytest.approx(10 * np.linalg.norm(changes[0]), rel=0.1)


def test_the_defaults_are_the_adams_of_the_config() -> None:
    network = compiled(CycleGAN)
    optimizers = network.generator_optimizer, network.critic_optimizer
    for optimizer, rate in zip(optimizers, (4e-4, 12e-4), strict=True):
        assert type(optimizer) is keras.optimizers.Adam
        config = optimizer.get_config()
        found = [config[name] for name in ("learning_rate", "beta_1", "beta_2")]
        np.testing.assert_allclose(found, (rate, 0.5, 0.999), rtol=1e-6)
    assert isinstance(
        compiled(CycleGAN, critic_optimizer="sgd").critic_optimizer, keras.optimizers.SGD
    )


@both
def test_a_scheduler_sets_both_rates(kind: type[GAN]) -> None:
    network = compiled(kind, critic_optimizer=keras.optimizers.Adam(7e-4))
    assert rates(network) == pytest.approx((4e-4, 7e-4))
    seen: list[float] = []

    def schedule(epoch: int, rate: float) -> float:
        seen.append(rate)
        return (1e-3, 0.0)[epoch]

    scheduler = keras.callbacks.LearningRateScheduler(schedule)
    after_first: list[Any] = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: after_first.append((rates(network), learned(network)))
    )
    history = fit(network, epochs=2, callbacks=[scheduler, keep]).history
    assert seen == pytest.approx([4e-4, 1e-3])
    assert history["lr" if is_classic() else "learning_rate"] == pytest.approx([1e-3, 0.0])
    assert after_first[0][0] == pytest.approx((1e-3, 1e-3))
    assert rates(network) == (0.0, 0.0)
    assert moved(after_first[0][1], network) == 0


def test_a_plateau_lowers_both_rates() -> None:
    network = compiled(CycleGAN)
    plateau = keras.callbacks.ReduceLROnPlateau(
        "cycle", mode="min", factor=0.1, patience=1, min_delta=10.0
    )
    fit(network, epochs=3, callbacks=[plateau])
    assert rates(network) == pytest.approx((4e-6, 12e-6))


@both
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("optimizer", "adam"),
        ("loss", "mse"),
        ("loss_weights", [1.0]),
        ("metrics", ["mae"]),
        ("weighted_metrics", ["mae"]),
    ],
)
def test_what_would_do_nothing_is_refused(kind: type[GAN], name: str, value: object) -> None:
    with pytest.raises(TypeError, match=rf"{kind.__name__}\.compile takes no {name}=: "):
        compiled(kind, **{name: value})
    compiled(kind, **{name: None})


def test_optimizers_that_cannot_work_are_refused() -> None:
    adam = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="make two"):
        compiled(CycleGAN, generator_optimizer=adam, critic_optimizer=adam)
    scaled = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.Adam())
    with pytest.raises(ValueError, match="not scaled"):
        compiled(CycleGAN, critic_optimizer=scaled)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [{"run_eagerly": True}, {"jit_compile": True}, {"steps_per_execution": 2}]
)
def test_the_other_arguments_are_keras_own(arguments: dict[str, Any]) -> None:
    network, plain = compiled(CycleGAN, **arguments), compiled(CycleGAN)
    calls: list[int] = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: calls.append(1))
    fit(network, callbacks=[count])
    fit(plain)
    assert len(calls) == 2 // arguments.get("steps_per_execution", 1)
    for name, value in arguments.items():
        assert getattr(network, name) == value
    for found, expected in zip(learned(network), learned(plain), strict=True):
        # Adam's first steps have the size of the rate, so where a gradient is nearly 0 the rounding
        # of a compiled graph may turn a step round.
        difference = np.abs(np.array(found) - np.array(expected))
        assert difference.max(initial=0.0) < 5 * 12e-4
        assert difference.mean() < 6e-4


MAKERS: dict[str, Callable[[], keras.optimizers.Optimizer]] = {
    "adamw": lambda: keras.optimizers.AdamW(1e-3),
    "momentum": lambda: keras.optimizers.SGD(1e-3, momentum=0.9),
}


@both
@pytest.mark.parametrize("name", MAKERS)
def test_a_training_goes_on_bit_for_bit(kind: type[GAN], name: str, tmp_path: Path) -> None:
    """The state holds every slot of an optimizer of one's own, and its rate."""

    def fresh() -> tuple[GAN, Checkpoint]:
        optimizers = {f"{part}_optimizer": MAKERS[name]() for part in ("generator", "critic")}
        network = compiled(kind, **optimizers)
        average = MovingAverage(network, 0.9)
        return network, Checkpoint([*network.state(), *average.average], tmp_path, {})

    def schedule(epoch: int, rate: float) -> float:
        return rate / 2

    halve = keras.callbacks.LearningRateScheduler(schedule)
    whole, checkpoint = fresh()
    fit(whole, epochs=2, callbacks=[halve, checkpoint])
    fit(whole, epochs=4, initial_epoch=2, callbacks=[halve])
    parts, checkpoint = fresh()
    assert checkpoint.restore() == 2
    fit(parts, epochs=4, initial_epoch=2, callbacks=[halve])
    assert rates(parts) == rates(whole) == pytest.approx((1e-3 / 16, 1e-3 / 16))
    for found, expected in zip(parts.state(), whole.state(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_weights_of_the_whole_model_are_saved_and_read(tmp_path: Path) -> None:
    network = compiled(CycleGAN)
    fit(network)
    network.save_weights(tmp_path / "all.weights.h5")
    again = compiled(CycleGAN)
    assert moved(learned(network), again) > 0
    again.load_weights(tmp_path / "all.weights.h5")
    assert moved(learned(network), again) == 0
