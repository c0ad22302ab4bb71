"""The field's names are accepted beside the programs' own, and make no other run of it."""

from __future__ import annotations

import pytest

from re_sln import train_cifar
from re_sln.search.search import parse_search
from re_sln.settings.config import resolve, without_effect
from re_sln.settings.flags import PROGRAMS, parse_flags

SYNONYMS = {
    "--epochs=3": "--n_epochs=3",
    "--global_batch_size=64": "--batch_size=64",
    "--arch=wrn-10-1": "--network=wrn-10-1",
    "--precision=bfloat16": "--amp=bf16",
}


@pytest.mark.parametrize("word", SYNONYMS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_synonym_is_the_flag_itself(program: str, word: str) -> None:
    found = parse_flags(PROGRAMS[program], [word])
    assert found == parse_flags(PROGRAMS[program], [SYNONYMS[word]]) != parse_flags(PROGRAMS[program], [])
    assert parse_search([word]) == parse_search([SYNONYMS[word]])


def test_the_default_precision_makes_no_other_run() -> None:
    records = [
        resolve(PROGRAMS["train_real"], parse_flags(PROGRAMS["train_real"], words)).record()
        for words in ([], ["--precision=float32"])
    ]
    assert records[0] == records[1] and records[0]["amp"] == "off"


def test_another_precision_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse_flags(PROGRAMS["train_cifar"], ["--precision=float16"])
    assert stop.value.code == 2
    assert "--amp/--precision: 'float16' is neither float32 (off) nor bfloat16 (bf16)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "words", "idle"),
    [
        ("train_cifar", "--dataset_name=digits --ema_decay=0.9", {"ema_decay": "--mo"}),
        ("train_real", "--mo --ema_decay=0.9 --lc_eval_transform=test", {"lc_eval_transform": "--lc_n_epoch"}),
        ("train_real", "--mo --lc_n_epoch=9 --ema_decay=0.9 --lc_eval_transform=test", {}),
        ("train_cifar", "--dataset_name=digits --custom_rng=rerun --dependent_epochs=2", {}),
        ("train_cifar", "--dataset_name=digits --p=0 --custom_rng=rerun", {"custom_rng": "custom noise"}),
        ("train_clothing1m", "", {}),
    ],
)
def test_flags_without_effect_are_named(program: str, words: str, idle: dict[str, str]) -> None:
    assert without_effect(resolve(PROGRAMS[program], parse_flags(PROGRAMS[program], words.split()))) == idle


def test_a_warning_names_them(capfd: pytest.CaptureFixture[str]) -> None:
    assert train_cifar.main(["--dataset_name=digits", "--p=0", "--asym_rules=rerun", "--check"]) == 0
    assert "--asym_rules has no effect without custom noise" in capfd.readouterr().err
