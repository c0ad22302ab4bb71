"""--out is refused before anything is measured."""

import pytest

import benchmarks.check_gpu
import benchmarks.commands
import benchmarks.ieg
import benchmarks.moco
import benchmarks.moco_kernels
import benchmarks.settings
import benchmarks.sln

PROGRAMS = {
    benchmarks.check_gpu: [],
    benchmarks.moco_kernels: [],
    benchmarks.commands: [], benchmarks.ieg: [], benchmarks.moco: [], benchmarks.settings: ["sln"], benchmarks.sln: [],
}  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
@pytest.mark.parametrize("out", ["", "missing/x.json", ".", "/proc/version/x"])
def test_a_file_that_cannot_be_written(program, out, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        program.main([*PROGRAMS[program], f"--out={out}"])
    assert f"argument --out: {out!r} is no file that can be written" in capsys.readouterr().err
