"""Every program through its command line, both ways."""

import importlib

import pytest

from tests.preprocess.small_trees import run

PROGRAMS = {
    "imagenet_100_subset": "--imagenet_path is not given",
    "imagenet_100_robustness": "--set is not given",
    "imagenet_texture_syn": "--imagenet_path is not given",
    "imangenet_texture_syn": "--imagenet_path is not given",
    "shapes_textures": "--path is not given",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs_from_inside_its_folder_and_as_a_module(name):
    for inside in (True, False):
        code, out, err = run(name, inside=inside)
        assert (code, out) == (2, "")
        assert err.startswith(f"error: {PROGRAMS[name]}")


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_and_unknown_flags(name, capsys):
    main = importlib.import_module(f"preprocess.{name}").main
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    for unclear in ("of everything", "what stands for", "is made", "once"):
        assert unclear not in out
    with pytest.raises(SystemExit) as stop:
        main(["--no_such_flag"])
    assert stop.value.code == 2
