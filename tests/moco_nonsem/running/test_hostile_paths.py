"""Paths that no machine can follow are one sentence and exit code 2 or 1, never a traceback."""

import pytest

from moco_nonsem import eval_robustness, main_lincls
from moco_nonsem.pretraining import program as pretrain_program
from tests.moco_nonsem.small_runs import LINEAR, SMALL

NOBODY = "~nobody-of-this-name/x"
SCORE = ["--arch=resnet10-small", "--image-size=16", "--workers=0"]


@pytest.mark.parametrize(
    "main, arguments",
    [
        (pretrain_program.main, [*SMALL, NOBODY]),
        (pretrain_program.main, [*SMALL, f"--run_dir={NOBODY}", "TREE"]),
        (pretrain_program.main, [*SMALL, f"--resume={NOBODY}", "TREE"]),
        (main_lincls.main, [*LINEAR, f"--pretrained={NOBODY}", "TREE"]),
        (main_lincls.main, [*LINEAR, "--evaluate", f"--resume={NOBODY}", "TREE"]),
        (eval_robustness.main, [*SCORE, NOBODY, "--val=TREE"]),
        (eval_robustness.main, [*SCORE, "x", f"--val={NOBODY}"]),
    ],
)
def test_the_home_of_nobody(main, arguments, tree, capfd):
    assert main([word.replace("TREE", str(tree)) for word in arguments]) == 2
    assert "no home folder for ~nobody-of-this-name" in capfd.readouterr().err


def test_names_that_are_too_long(tree, tmp_path, capfd):
    name = tmp_path / ("n" * 300)
    for arguments in ([f"--run_dir={name}", str(tree)], [f"--resume={name}", str(tree)], [str(name)]):
        assert pretrain_program.main([*SMALL, "--epochs=1", *arguments]) in (1, 2)
        (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
        assert "too long" in line
