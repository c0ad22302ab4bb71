"""The field's names are accepted beside the programs' own, and make no other run of it."""

from __future__ import annotations

import pytest

from common.errors import UsageError
from common.flags import parse
from moco_nonsem.running.flag_checks import check_numbers
from moco_nonsem.running.flags import LinearFlags, PretrainFlags, RobustnessFlags

SYNONYMS = {
    "--network=resnet18": "--arch=resnet18",
    "--global_batch_size=64": "--batch-size=64",
    "--learning_rate=2": "--lr=2",
    "--precision=bfloat16": "--amp=bf16",
    "--precision=float32": "--amp=off",
}


@pytest.mark.parametrize("word", SYNONYMS)
@pytest.mark.parametrize("kind", [PretrainFlags, LinearFlags])
def test_a_synonym_is_the_flag_itself(kind: type[PretrainFlags] | type[LinearFlags], word: str) -> None:
    found: PretrainFlags | LinearFlags = parse(kind, "p", "", [word, "x"], separator="-")
    assert found == parse(kind, "p", "", [SYNONYMS[word], "x"], separator="-")
    assert found == parse(kind, "p", "", [word.replace("_", "-"), "--data_dir=x"], separator="-")
    assert (found != kind(data="x")) == (word != "--precision=float32")


@pytest.mark.parametrize("size", [7, 8193, 2**31])
def test_images_are_of_a_size_that_can_be(size: int) -> None:
    check_numbers(PretrainFlags(data="x", image_size=8192), {})
    with pytest.raises(UsageError, match=f"--image-size={size}: "):
        check_numbers(PretrainFlags(data="x", image_size=size), {})


@pytest.mark.parametrize("word", ["--precision=bfloat16", "--epochs=1", "--data_dir=x"])
def test_the_robustness_program_has_only_what_it_reads(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(RobustnessFlags, "p", "", [word, "x"], separator="-")
    assert stop.value.code == 2 and "unrecognized arguments" in capsys.readouterr().err
