"""The field's names are accepted beside the program's own, and make no other run of it."""

import pytest

from common.errors import UsageError
from ieg.main import run_folder
from ieg.settings.config import resolve
from ieg.settings.flags import parse_flags

SYNONYMS = {
    "--lr=0.2": "--learning_rate=0.2",
    "--epochs=3": "--max_epoch=3",
    "--data_dir=x": "--dataset_dir=x",
    "--network=resnet29": "--network_name=resnet29",
    "--arch=resnet29": "--network_name=resnet29",
    "--evaluate": "--mode=evaluation",
}


@pytest.mark.parametrize("word", SYNONYMS)
def test_a_synonym_is_the_flag_itself(word):
    assert parse_flags([word]) == parse_flags([SYNONYMS[word]]) != parse_flags([])


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_a_global_batch_is_divided_among_the_replicas(replicas):
    found = resolve(parse_flags(["--global_batch_size=200"]), replicas)
    assert found == resolve(parse_flags([f"--batch_size={200 // replicas}"]), replicas)
    assert found.record()["batch_size"] == 200 // replicas and "global_batch_size" not in found.record()


@pytest.mark.parametrize(
    ("words", "replicas", "message"),
    [
        (["--global_batch_size=200"], 3, "--global_batch_size=200 does not divide by 3 .* such as 201"),
        (["--global_batch_size=0"], 2, "multiple of 2, such as 2"),
        (["--global_batch_size=200", "--batch_size=50"], 2, "give one of them"),
        (["--global_batch_size=50001"], 1, "a global batch of 50001 images"),
    ],
)
def test_a_global_batch_that_cannot_be_is_refused(words, replicas, message):
    with pytest.raises(UsageError, match=message):
        resolve(parse_flags(words), replicas)


def test_a_run_folder_is_used_as_given_and_makes_no_other_run(tmp_path):
    named = resolve(parse_flags([f"--run_dir={tmp_path / 'mine'}"]), 1)
    assert run_folder(named) == tmp_path / "mine"
    assert named.record() == resolve(parse_flags([]), 1).record()
    with pytest.raises(UsageError, match="--run_dir=a --checkpoint_path=b: give one"):
        resolve(parse_flags(["--run_dir=a", "--checkpoint_path=b"]), 1)
