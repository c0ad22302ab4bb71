"""What a session on a GPU found becomes records, a picture and a section of the page, in the repository."""

import json
import shutil

import pytest

from common.errors import DataError, UsageError
from common.records.record_files import read_result
from reproduce.cli import main
from reproduce.gpu import carrying, keeping, summary
from reproduce.keep import MACHINES
from reproduce.tables import pages
from tests.reproduce.gpu.simulated import Machine


@pytest.fixture
def out(tmp_path):
    """What the last piece of a session left: four models, both measurements, and a fifth run that is not finished."""
    machine = Machine(tmp_path / "work", epoch=0.2, start=5, minutes=11)
    session = machine.session()
    session.piece(540)
    summary.write(session, tmp_path / "out")
    carrying.bundle(machine.work, tmp_path / "out")
    return tmp_path / "out"


def test_records_picture_and_section_come_into_the_clone(out, tmp_path, monkeypatch, capsys):
    page, kept = tmp_path / "clone" / "README.md", tmp_path / "clone" / "gpu"
    page.parent.mkdir()
    shutil.copy(pages.EVIDENCE_PAGE, page)
    monkeypatch.setattr(pages, "EVIDENCE_PAGE", page)
    monkeypatch.setattr(keeping, "KEPT", kept)
    assert main(["keep", f"--gpu={out}"]) == 0
    folder = kept / "2026-01-02-nvidia-x-80gb"
    assert capsys.readouterr().err.split() == ["written:", str(folder), "written:", str(page)]
    found = json.loads((folder / "evidence.json").read_text())
    finished = [run["name"] for run in found["runs"] if run["finished"]]
    assert (len(finished), len(found["runs"])) == (4, 5)
    records = sorted(folder.rglob("result.json"))
    assert {str(path.parent.relative_to(folder / "runs")) for path in records} == set(finished)
    for path in records:
        assert read_result(path.parent)["command"][3:] == ["--data_dir=$DATA_DIR", "--run_dir=$RUNS_DIR"]
        assert {file.name for file in path.parent.iterdir()} == {"config.yml", "metrics.jsonl", "result.json"}
    for path in folder.rglob("*.json*"):
        assert not MACHINES.search(path.read_text()), path
    text = page.read_text().partition("<!-- reproduce:gpu -->")[2]
    assert "### NVIDIA X 80GB, 2026-01-02" in text
    assert "2026-01-02T03:04:05+00:00 | NVIDIA X 80GB | 580.1  | 2.11.0, CUDA 13.0 | `python3 -m reproduce" in text
    assert "| sym-ce/seed_123 | cifar10-jpeg | 300 | 0.0 | 0.1 | 0.2 | 1.0 | 5.0 |" in text
    assert "`python -m benchmarks.sln --device=cuda" in text and "`python -m benchmarks.moco_kernels" in text
    assert "| update " in text and "| `kernel_0` " in text and "kernel_5" not in text
    for link in [f"gpu/{folder.name}/curves.png", *(f"gpu/{path.relative_to(kept)}" for path in records)]:
        assert f"]({link})" in text and (page.parent / link).is_file()


def test_another_session_has_another_folder_and_the_same_one_its_own(out, tmp_path):
    first = keeping.keep_session(out, tmp_path / "gpu")
    assert keeping.keep_session(out, tmp_path / "gpu") == first
    path = out / "evidence.json"
    path.write_text(path.read_text().replace("03:04:05", "06:07:08"))
    assert keeping.keep_session(out, tmp_path / "gpu").name == f"{first.name}-2"
    assert keeping.section(tmp_path / "gpu").count("### ") == 2
    assert keeping.section(tmp_path / "none") == keeping.NONE_YET


def test_what_is_not_to_be_kept(out, tmp_path):
    with pytest.raises(DataError, match=r"holds no evidence\.json of a session .*: name the --out"):
        keeping.keep_session(tmp_path, tmp_path / "gpu")
    path = out / "evidence.json"
    whole = path.read_text()
    path.write_text(whole.replace('"device": "NVIDIA X"', '"device": "CPU x86_64, 2 cores"', 1))
    with pytest.raises(UsageError, match=r"^1 in .* ran on a CPU: sym-ce/seed_123; only what ran on a GPU is kept"):
        keeping.keep_session(out, tmp_path / "gpu")
    path.write_text(whole.replace('"gpu": "NVIDIA X 80GB"', '"gpu": "none, CPU x86_64, 2 cores"'))
    with pytest.raises(UsageError, match="ran on a CPU: none, CPU x86_64, 2 cores; only"):
        keeping.keep_session(out, tmp_path / "gpu")
    path.write_text(whole.replace('"struck_settings": {}', '"struck_settings": {"captured": "no /root/x.so"}'))
    with pytest.raises(UsageError, match=r"names '/root/x\.so', a place on this machine"):
        keeping.keep_session(out, tmp_path / "gpu")
    path.write_text(json.dumps(json.loads(whole) | {"runs": [], "measured": {}}))
    with pytest.raises(DataError, match="neither a finished run nor a measurement: do another piece first"):
        keeping.keep_session(out, tmp_path / "gpu")
    assert not (tmp_path / "gpu").exists()
