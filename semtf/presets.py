"""The presets: settings by name, as data."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from semtf.config import AdaptationConfig, ClassificationConfig, RetrievalConfig, RunConfig
from semtf.errors import InputError

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
            learning_rate=2e-4,
            critic_rate=1.0,
            other_rate=1.0,
            first_epochs=300,
            other_epochs=100,
            steps_per_epoch=None,
            early_stopping=False,
            decay=0.0,
            halve_at=(100, 200, 300),
            warm_up_steps=0,
            match_mean=False,
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
    adaptation=dataclasses.replace(
        PRESETS["challenge"].adaptation,
        norm="instance",
        early_stopping=True,
        decay=0.25,
        halve_at=(),
        warm_up_steps=60,
        match_mean=True,
    ),
    retrieval=RetrievalConfig(),
)


def preset(name: str) -> RunConfig:
    """The config of a preset, by name; raises InputError where there is none."""
    if name not in PRESETS:
        raise InputError(f"--preset {name}: no such preset; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def as_config(config: RunConfig | str | Mapping[str, Any]) -> RunConfig:
    """The settings that a caller means: a preset by name, or changes of one.

    Args:
        config: the settings; the name of a preset; or fields of `RunConfig.with_settings` that
            change the preset that ``"preset"`` names, ``quick`` where it is left out.

    Raises:
        InputError: there is no such preset or field, or a value is wrong.
    """
    if isinstance(config, RunConfig):
        return config
    if isinstance(config, str):
        return preset(config)
    if not isinstance(config, Mapping):
        raise InputError(
            f"config: {type(config).__name__} is no settings; give a RunConfig, the name of a "
            "preset, or a dict of fields"
        )
    changes = dict(config)
    return preset(changes.pop("preset", "quick")).with_settings(changes)
