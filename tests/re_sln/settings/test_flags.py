"""The field's names are accepted beside the programs' own, and make no other run of it."""

from __future__ import annotations

import pytest

from re_sln.search.search import parse_search
from re_sln.settings.config import resolve
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
