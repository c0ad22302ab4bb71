"""Where a run belongs: in a cell of a published table, or, if any setting differs, under a name that says so."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import UsageError
from data.registry import load_registry
from re_sln.former_names import from_recorded
from re_sln.settings.flags import PROGRAMS, Flags
from re_sln.settings.names import MODELS, model_name
from re_sln.settings.published_settings import TASKS

# Settings of the published runs: the programs' defaults. One that differs makes another table; one that a log does not
# name is as here.
_DEFAULTS = dataclasses.replace(Flags(), augmentation="crop_flip")  # of everything but the digits
WHOLE_TABLE: dict[str, Any] = {
    name: getattr(_DEFAULTS, name)
    for name in (
        *("n_epochs", "batch_size", "lr", "network", "image_size", "augmentation", "norm"),
        *("limit_train_examples", "amp"),
    )
}
CLOTHING1M = {
    **WHOLE_TABLE,
    **{name: value for name, value in PROGRAMS["train_clothing1m"].defaults.items() if name in WHOLE_TABLE},
    **{name: getattr(_DEFAULTS, name) for name in ("weights", "images_per_class")},
}
SEARCH = {**WHOLE_TABLE, "mo": False, "lc_n_epoch": -1, "val_size": 0.1, "val_transform": "train"}
LC_EPOCH = {"clothing1m": 2}  # where label correction begins; 250 elsewhere
# The samples that a published cell has: the authors' noise file (False), or noise of one's own (True).
SAMPLES = {"sym": (False, True), "asym": (False, True), "dependent": (False,), "openset": (True,)}
PAPERS_FILES = ("cifar10", "cifar100")
# custom_rng and asym_rules of the published custom samples, and of data for which nobody published noise.
CUSTOM, OWN = ("rerun", "rerun"), ("independent", "authors")


@dataclass(frozen=True)
class Place:
    """data: as the record names it; setting: what differs for the whole table, "" if nothing; model, column: of the
    table; sigma: of the label noise, usual_sigma: whether the tables have this one; extra: what else differs for this
    model, "" if nothing.
    """

    data: str
    setting: str
    model: str
    sigma: float
    usual_sigma: bool
    extra: str
    column: str

    @property
    def row(self) -> str:
        """Label of the row."""
        told = [] if self.usual_sigma else [f"σ = {self.sigma:g}"]
        told += [self.extra] if self.extra else []
        return MODELS[self.model] + (f" ({', '.join(told)})" if told else "")


def place_of(config: Mapping[str, Any], data: str) -> Place:
    """The place of a training run with this configuration on data of this name.

    Raises: UsageError for a configuration that is none of the four models, or lacks what tells.
    """
    config = from_recorded(config)
    _check(config, "dataset_name", "n_epochs", "sigma", "mo", "lc_n_epoch")
    sigma, lc_epoch = float(config["sigma"]), int(config["lc_n_epoch"])
    model = model_name(sigma, bool(config["mo"]), lc_epoch, int(config["n_epochs"]))
    extra = []
    if config["mo"] and config.get("ema_decay", _DEFAULTS.ema_decay) != _DEFAULTS.ema_decay:
        extra.append(f"EMA {config['ema_decay']:g}")
    if model == "sln-mo-lc" and lc_epoch != LC_EPOCH.get(config["dataset_name"], 250):
        extra.append(f"LC from {lc_epoch}")
    if model == "sln-mo-lc" and config.get("lc_eval_transform", "train") != _DEFAULTS.lc_eval_transform:
        extra.append(f"scored under {config['lc_eval_transform']} transform")
    usual = model == "ce" or sigma == TASKS[config["dataset_name"]].sigma(config.get("noise_mode") or "")
    setting = _setting(config, CLOTHING1M if config["dataset_name"] == "clothing1m" else WHOLE_TABLE)
    return Place(data, setting, model, sigma, usual, ", ".join(extra), noise_of(config))


def search_place(config: Mapping[str, Any], data: str) -> tuple[str, str, str]:
    """(data, setting, noise) of a search for σ. Raises: UsageError where the configuration lacks what tells."""
    config = from_recorded(config)
    _check(config, "dataset_name", "n_epochs", "noise_mode")
    return data, _setting(config, SEARCH), noise_of(config)


def noise_of(config: Mapping[str, Any]) -> str:
    """`sym` where the noise is that of a published cell, else with what differs; `-` where labels are as they come."""
    mode, p, dataset = config.get("noise_mode"), config.get("p"), config["dataset_name"]
    if mode is None or p == 0:
        return "-" if mode is None else "no noise"
    if mode not in SAMPLES:
        raise UsageError(f"noise_mode={mode} is none of {', '.join(SAMPLES)}")
    told = [f"p = {p}"] if p != _DEFAULTS.p else []
    custom = bool(config.get("custom_noise"))
    if custom or dataset not in PAPERS_FILES:
        told += _custom_words(config, mode, *(CUSTOM if dataset in PAPERS_FILES else OWN))
    if dataset in PAPERS_FILES:
        if custom not in SAMPLES[mode]:
            told.append("custom" if custom else "not custom")
        if not custom and config.get("noise_sha256") not in (None, _papers_sha256(dataset, f"{mode}{p}.csv")):
            told.append("not the authors' file")
    return mode + (f" ({', '.join(told)})" if told else "")


def _custom_words(config: Mapping[str, Any], mode: str, rng: str, rules: str) -> list[str]:
    """How this custom noise differs from the usual; a log that does not say has the usual."""
    told = []
    if mode != "dependent" and config.get("custom_rng", rng) != rng:
        told.append(f"custom_rng = {config['custom_rng']}")
    if mode == "asym" and config.get("asym_rules", rules) != rules:
        told.append(f"asym_rules = {config['asym_rules']}")
    return told


def _papers_sha256(dataset: str, name: str) -> str | None:
    archives = load_registry()["sln-noise"].archives
    return next((one.published.sha256 for one in archives if one.into == f"{dataset}/{name}"), None)


def _setting(config: Mapping[str, Any], published: Mapping[str, Any]) -> str:
    told = [f"{name} = {config[name]}" for name, value in published.items() if config.get(name, value) != value]
    return ", ".join(told)


def _check(config: Mapping[str, Any], *names: str) -> None:
    missing = [name for name in names if config.get(name) is None]
    if missing:
        raise UsageError(f"its configuration does not say {', '.join(missing)}")
    if config["dataset_name"] not in TASKS:
        raise UsageError(f"dataset_name={config['dataset_name']} is none of {', '.join(TASKS)}")
