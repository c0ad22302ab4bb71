"""Checkpoints: the authors' layout in both formats, damage, what does not fit."""

from pathlib import Path

import pytest
import torch

from common.errors import UsageError
from common.pytorch.torch_files import read_tensors, write_tensors
from moco_nonsem import main_lincls
from moco_nonsem.model.encoder import build_encoder
from moco_nonsem.model.key_queue import initial_queue
from moco_nonsem.pretraining import program as pretrain_program
from moco_nonsem.running import checkpoint
from tests.moco_nonsem.small_runs import LINEAR, SMALL, assert_same_bits


def authors_file(path: Path, zipped: bool, epoch: int = 1, arch: str = "resnet10-small") -> dict:
    """A file as the authors' program writes it: DistributedDataParallel's names, an optimiser over both encoders, of
    which one has a momentum, and settings that a newer torch has not heard of or has more of."""
    query, key = (build_encoder(arch, 8, True, seed) for seed in (11, 12))
    parameters = [*query.parameters(), *key.parameters()]
    optimiser = torch.optim.SGD(parameters, 0.01, momentum=0.9, weight_decay=1e-4)
    for value in query.parameters():
        value.grad = torch.full_like(value, 0.5)
    optimiser.step()
    state = optimiser.state_dict()
    kept = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "params")
    state["param_groups"] = [{name: group[name] for name in kept} for group in state["param_groups"]]
    weights = {
        **{f"module.encoder_q.{name}": value for name, value in query.state_dict().items()},
        **{f"module.encoder_k.{name}": value for name, value in key.state_dict().items()},
        "module.queue": initial_queue(8, 16, 5),
        "module.queue_ptr": torch.tensor([8]),
    }
    content = {"epoch": epoch, "arch": arch, "state_dict": weights, "optimizer": state}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return content


def test_the_same_content_is_the_same_file_whichever_process_writes_it(tmp_path, monkeypatch):
    content = {"epoch": 1, "state_dict": {"weight": torch.arange(3.0)}, "classes": ["n01"]}
    prints = []
    for process, values in enumerate((content, content, {**content, "state_dict": {"weight": torch.ones(3)}})):
        monkeypatch.setattr("os.getpid", lambda process=process: 1000 * process)
        write_tensors(tmp_path / "a.pth.tar", values)
        prints.append(checkpoint.fingerprint(str(tmp_path / "a.pth.tar")))
    assert prints[0] == prints[1] != prints[2] and len(prints[0]) == 64
    assert_same_bits(read_tensors(tmp_path / "a.pth.tar")["state_dict"], {"weight": torch.ones(3)})


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_of_the_authors_is_read(tmp_path, zipped):
    path = tmp_path / "checkpoint_0199.pth.tar"
    content = authors_file(path, zipped)
    assert path.read_bytes().startswith(b"PK") == zipped
    found = read_tensors(path)
    assert_same_bits(found, content)
    assert len(found["optimizer"]["param_groups"][0]["params"]) == 2 * len(found["optimizer"]["state"])


@pytest.mark.parametrize("zipped", [True, False])
def test_training_goes_on_from_a_file_of_the_authors(tree, tmp_path, monkeypatch, zipped):
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    given, run = tmp_path / "authors_0000.pth.tar", tmp_path / "run"
    authors_file(given, zipped)
    arguments = [
        *SMALL,
        "--robust=patch",
        "--patch-ratio",
        "3",
        "7",
        "--moco-m=1",
        "--lr=1e-9",
        "--epochs=2",
        str(tree),
    ]
    assert pretrain_program.main([*arguments, "--resume", str(given), f"--run_dir={run}"]) == 0
    written = read_tensors(run / "checkpoint_0001.pth.tar")
    assert sorted(path.name for path in run.glob("checkpoint_*")) == ["checkpoint_0001.pth.tar"]
    before = read_tensors(given)
    for name, value in before["state_dict"].items():
        if "encoder_k" in name and "running" not in name and "tracked" not in name:
            assert torch.equal(written["state_dict"][name], value), name
    assert written["epoch"] == 2 and written["state_dict"]["module.queue_ptr"].item() == (8 + 3 * 8) % 16
    assert written["state_dict"].keys() == before["state_dict"].keys()


@pytest.mark.parametrize("zipped", [True, False])
def test_linear_evaluation_reads_a_file_of_the_authors(tree, tmp_path, zipped):
    given = tmp_path / "checkpoint_0007.pth.tar"
    authors_file(given, zipped)
    out = tmp_path / "out"
    assert main_lincls.main([*LINEAR, "--epochs=1", f"--pretrained={given}", f"--run_dir={out}", str(tree)]) == 0
    written = read_tensors(out / "checkpoint_robust_0007.pth.tar")["state_dict"]
    assert (out / "model_best_0007.pth.tar").is_file()
    for name, value in read_tensors(given)["state_dict"].items():
        if name.startswith("module.encoder_q.") and ".fc." not in name:
            assert torch.equal(written[name.replace("encoder_q.", "")], value), name
    assert written["module.fc.weight"].shape == (1000, 256)


def step_of(folder: Path) -> int:
    found = checkpoint.newest(folder)
    assert found is not None
    return found[1]["step"]


def test_a_damaged_state_falls_back_to_the_one_before(tmp_path, caplog):
    for step in (3, 5, 9):
        checkpoint.save_state(tmp_path, step, {"step": step, "weights": torch.arange(1000.0)})
    assert checkpoint.FILES.steps(tmp_path) == [5, 9]
    assert step_of(tmp_path) == 9
    newest = tmp_path / "state_00000009.pth.tar"
    whole = newest.read_bytes()
    for harmed in (whole[:-500], whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:], b""):
        newest.write_bytes(harmed)
        caplog.clear()
        assert step_of(tmp_path) == 5
        assert str(newest) in caplog.text and "the one before" in caplog.text
    (tmp_path / "state_00000005.pth.tar").write_bytes(b"no")
    with pytest.raises(UsageError, match=r"no checkpoint in .* can be read"):
        checkpoint.newest(tmp_path)
    assert checkpoint.newest(tmp_path / "nowhere") is None


def test_a_file_that_would_run_code_is_not_read(tmp_path):
    path = tmp_path / "evil.pth.tar"
    torch.save({"state_dict": Path("/")}, path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_tensors(path)


def test_what_is_written_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "state_00000001.pth.tar"
    write_tensors(path, {"step": 1})
    before = path.read_bytes()

    def fails(content, file):
        file.write(b"half")
        file.flush()
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", fails)
    with pytest.raises(OSError):
        write_tensors(path, {"step": 2})
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == [path.name]
