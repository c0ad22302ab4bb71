"""What was made while the rerun was called `seed` stays valid: commands, records, tables."""

import pytest

from common.records.config_text import config_hash
from common.records.record_files import read_config
from re_sln import viz
from re_sln.search.search import parse_search, resolve_search
from re_sln.settings.config import resolve
from re_sln.settings.flags import PROGRAMS, Flags, parse_flags
from re_sln.tables.cell_of_run import place_of
from re_sln.training.run_folder import settings_of
from tests.re_sln.logged_runs import OURS, ROOT

CIFAR = PROGRAMS["train_cifar"]
RUN = ROOT / "docs" / "evidence" / "re_sln" / "sln-cifar10-jpeg-sln-sym" / "seed_123" / "run"


def words(name: str) -> list[str]:
    return ["--dataset_name=digits", "--noise_mode=asym"] + [
        f"--{flag}={name}" for flag in ("norm", "train_accuracy", "custom_rng", "asym_rules")
    ]


def test_the_former_name_is_the_same_value():
    flags = parse_flags(CIFAR, words("seed"))
    assert flags == parse_flags(CIFAR, words("rerun"))
    assert (flags.norm, flags.train_accuracy, flags.custom_rng, flags.asym_rules) == ("rerun",) * 4


@pytest.mark.parametrize("name", ["seed", "rerun"])
def test_a_run_keeps_its_identity(name):
    """The hashes that these runs had before the rerun got its name."""
    config = resolve(CIFAR, parse_flags(CIFAR, words(name)))
    assert config_hash(config.record()) == "ea7ea956c6c82d0bc6b6389ba48939a253770ce86564f7b6152716876b040939"
    search = resolve_search(parse_search(words(name)))
    assert search.folder.name == "hp_digits_asym_62b4425719c5"


def test_a_kept_record_is_read_and_would_be_written_again(tmp_path):
    authors = tmp_path / "label_noisy" / "cifar10" / "sym0.4.csv"
    authors.parent.mkdir(parents=True)
    authors.touch()
    settings = settings_of(RUN, CIFAR)
    assert (settings["norm"], settings["train_accuracy"]) == ("rerun", "rerun")
    again = resolve(CIFAR, Flags(**settings, data_dir=str(tmp_path), allow_unverified=True)).record()
    kept = read_config(RUN)
    assert kept["norm"] == "seed" and again == {name: kept[name] for name in again}


@pytest.mark.parametrize("name", ["seed", "rerun"])
def test_runs_and_logs_of_either_name_are_in_one_table(name):
    custom = {"custom_noise": True, "custom_rng": name, "asym_rules": name, "noise_mode": "asym", "norm": name}
    place = place_of({**OURS, **custom}, "cifar10")
    assert (place.setting, place.column) == ("", "asym")


def test_viz_accepts_the_former_name(monkeypatch):
    asked = []
    monkeypatch.setattr(viz, "_draw", lambda arguments: asked.append(arguments) or 0)
    for name in ("seed", "rerun"):
        assert viz.main(["cifar10", f"--custom_rng={name}", f"--asym_rules={name}"]) == 0
    assert asked[0] == asked[1] and asked[0].custom_rng == "rerun"
