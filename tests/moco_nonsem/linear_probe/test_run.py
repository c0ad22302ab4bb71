"""main_lincls.py: what it trains, what it leaves alone, what it leaves behind; and the nearest neighbours."""

import math

import numpy as np
import pytest
import torch

from common.pytorch.process_group import Group
from common.pytorch.torch_files import read_tensors, write_tensors
from moco_nonsem import main_lincls
from moco_nonsem.images.image_tree import read_tree
from moco_nonsem.images.labelled_images import Look, centre_view, labelled_batches, random_view, shares_in_order
from moco_nonsem.images.workers import Reading
from moco_nonsem.linear_probe.config import encoder_number
from moco_nonsem.linear_probe.network import FrozenWeightsMoved, LinearNetwork, check_frozen, load_backbone
from moco_nonsem.linear_probe.trainer import LinearTrainer
from moco_nonsem.model.encoder import build_encoder, features_of
from moco_nonsem.pretraining import neighbours as module
from moco_nonsem.pretraining import program as pretrain_program
from moco_nonsem.pretraining.neighbours import neighbour_classes
from moco_nonsem.running.flags import LinearFlags
from tests.moco_nonsem.small_runs import LINEAR, PATCH, assert_same_bits, make_tree
from tests.programs import ROOT, metrics_of, result_of, start, stop_in_step

EPOCHS = 3


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, tree):
    folder = tmp_path_factory.mktemp("pretrained")
    assert pretrain_program.main([*PATCH, "--epochs=1", f"--run_dir={folder}", str(tree)]) == 0
    return folder / "checkpoint_0000.pth.tar"


@pytest.fixture(scope="module")
def command(pretrained, tree):
    return [*LINEAR, f"--epochs={EPOCHS}", "--schedule", "2", "--seed=4", f"--pretrained={pretrained}", str(tree)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, command):
    folder = tmp_path_factory.mktemp("linear") / "run"
    assert main_lincls.main([*command, f"--run_dir={folder}"]) == 0
    return folder


def test_what_a_run_leaves_behind(whole, pretrained):
    assert {path.name for path in whole.glob("*.tar")} == {
        "checkpoint_robust_0000.pth.tar", "model_best_0000.pth.tar", "state_00000012.pth.tar",
    }  # fmt: skip
    content = read_tensors(whole / "checkpoint_robust_0000.pth.tar")
    assert content["epoch"] == EPOCHS and content["classes"] == ["n01", "n02", "n03"]
    assert {"arch", "state_dict", "best_acc1", "optimizer"} <= content.keys()
    lines, result = metrics_of(whole), result_of(whole)
    assert [line["step"] for line in lines] == [4, 8, 12]  # 26 images in batches of 8: the last batch is kept
    assert [line["learning_rate"] for line in lines] == pytest.approx([0.05, 0.05, 0.005])
    # The result is the last epoch's; the best one stands apart.
    assert result["metrics"]["accuracy"] == lines[-1]["accuracy/val"]
    assert result["best_on_test"]["accuracy"]["value"] == max(line["accuracy/val"] for line in lines)
    assert content["best_acc1"] == 100 * max(line["accuracy/val"] for line in lines)
    assert result["notes"]["frozen_backbone"] == "unchanged" and result["finished"]
    assert 'pretrained_sha256: "' in (whole / "config.yml").read_text()


def test_the_backbone_is_untouched_and_the_classifier_is_not(whole, pretrained):
    before = read_tensors(pretrained)["state_dict"]
    after = read_tensors(whole / "checkpoint_robust_0000.pth.tar")["state_dict"]
    kept = [name for name in before if name.startswith("module.encoder_q.") and ".fc." not in name]
    assert len(kept) == len(after) - 2
    assert all(torch.equal(after[name.replace("encoder_q.", "")], before[name]) for name in kept)
    start_weights = LinearNetwork("resnet10-small", 4).classifier.weight
    assert not torch.equal(after["module.fc.weight"], start_weights)


def test_a_backbone_that_moved_is_found(pretrained):
    content = read_tensors(pretrained)
    network = LinearNetwork("resnet10-small", 0)
    weights = load_backbone(network, content, "x")
    check_frozen(network, weights)
    network.backbone.bn1.running_mean[3] += 1e-6
    with pytest.raises(FrozenWeightsMoved, match=r"bn1\.running_mean"):
        check_frozen(network, weights)


def test_a_state_with_another_backbone_is_refused_before_training(whole, command, pretrained, tmp_path, capfd):
    content = read_tensors(whole / "checkpoint_robust_0000.pth.tar")
    content["state_dict"]["module.conv1.weight"] = content["state_dict"]["module.conv1.weight"] + 1
    write_tensors(tmp_path / "other.pth.tar", content)
    words = [*command, f"--resume={tmp_path / 'other.pth.tar'}", f"--run_dir={tmp_path / 'run'}"]
    assert main_lincls.main(words) == 2
    assert "holds another encoder than --pretrained: give the one" in capfd.readouterr().err
    assert not list((tmp_path / "run").glob("checkpoint_robust*"))


def test_a_program_that_moves_it_fails(command, tmp_path, monkeypatch, capfd):
    original = LinearTrainer.update

    def update(self, *arguments):
        self.network.backbone.bn1.train()
        original(self, *arguments)

    monkeypatch.setattr(LinearTrainer, "update", update)
    assert main_lincls.main([*command, "--epochs=1", f"--run_dir={tmp_path / 'run'}"]) == 1
    assert "error: the backbone is not as it was" in capfd.readouterr().err
    assert not result_of(tmp_path / "run")["finished"]


def test_the_classifier_begins_as_the_papers():
    network = LinearNetwork("resnet10-small", 0)
    weight = network.classifier.weight
    assert weight.shape == (1000, 256) and not network.classifier.bias.any()
    assert weight.std().item() == pytest.approx(0.01, rel=0.02) and abs(weight.mean().item()) < 1e-4
    assert not any(value.requires_grad for value in network.backbone.parameters()) and not network.backbone.training


def test_training_is_that_of_a_slow_loop(whole, pretrained, tree):
    """Softmax regression by hand on the same features: gradient, momentum, rate; then loss and accuracies."""
    network = LinearNetwork("resnet10-small", 4)
    load_backbone(network, read_tensors(pretrained), "x")
    reading = Reading(batch_size=8, workers=0, seed=4, group=Group(0, 1, torch.device("cpu")))
    train, val = read_tree(tree / "train"), read_tree(tree / "val")
    weight = network.classifier.weight.detach().double().numpy().copy()
    bias = np.zeros(1000)
    speed_w, speed_b = np.zeros_like(weight), np.zeros_like(bias)
    from common.random_streams import generator

    def features(tree_, look, batches, epoch=0):
        for images, labels in labelled_batches(tree_, look, batches, reading, epoch):
            yield network.backbone(images).double().numpy(), labels.numpy()

    for epoch, line in zip(range(EPOCHS), metrics_of(whole), strict=True):
        order = generator(4, "linear order", epoch).permutation(26)
        batches = [order[place : place + 8] for place in range(0, 26, 8)]
        losses, right = [], []
        for values, labels in features(train, Look(16, random=True), batches, epoch):
            logits = values @ weight.T + bias
            shares = np.exp(logits - logits.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
            tops = logits.max(axis=1)
            totals = np.log(np.exp(logits - tops[:, None]).sum(axis=1)) + tops
            losses += (totals - logits[np.arange(len(labels)), labels]).tolist()
            right += (logits.argmax(axis=1) == labels).tolist()
            slope = shares.copy()
            slope[np.arange(len(labels)), labels] -= 1
            slope /= len(labels)
            speed_w, speed_b = 0.9 * speed_w + slope.T @ values, 0.9 * speed_b + slope.sum(axis=0)
            rate = 0.05 if epoch < 2 else 0.005
            weight, bias = weight - rate * speed_w, bias - rate * speed_b
        assert line["loss/train"] == pytest.approx(np.mean(losses), rel=1e-3)
        assert line["accuracy/train"] == pytest.approx(np.mean(right))
    logits, labels = (np.concatenate(parts) for parts in zip(*[
        (values @ weight.T + bias, labels) for values, labels in features(val, Look(16), shares_in_order(9, reading))
    ], strict=True))  # fmt: skip
    assert line["accuracy/val"] == pytest.approx((logits.argmax(axis=1) == labels).mean())


def test_the_result_is_the_last_epochs_and_the_best_stands_apart(command, tmp_path, monkeypatch):
    """Accuracies on val/ are made up: the second epoch is the best, the third only as good."""
    made_up = iter([(0.2, 0.5), (0.6, 0.8), (0.6, 0.9), (0.4, 0.7)])
    names = ("accuracy/val", "accuracy/val_top5")
    monkeypatch.setattr(LinearTrainer, "score", lambda self: dict(zip(names, next(made_up), strict=True)))
    assert main_lincls.main([*command, "--epochs=4", f"--run_dir={tmp_path / 'run'}"]) == 0
    result = result_of(tmp_path / "run")
    assert (result["metrics"], result["metrics_step"]) == ({"accuracy": 0.4, "accuracy_top5": 0.7}, 16)
    assert result["best_on_test"] == {"accuracy": {"value": 0.6, "step": 8, "epoch": 1}}  # counted from 0
    for kind, epochs in (("model_best", 2), ("checkpoint_robust", 4)):
        assert read_tensors(tmp_path / "run" / f"{kind}_0000.pth.tar")["epoch"] == epochs


def test_an_image_counts_among_the_first_five_to_the_fifth(tree):
    """Of three classes with three images each the first has the largest logit, the others the fifth and the sixth."""
    reading = Reading(batch_size=4, workers=0, seed=0, group=Group(0, 1, torch.device("cpu")))
    network, val = LinearNetwork("resnet10-small", 0), read_tree(tree / "val")
    logits = torch.full((1000,), -100.0)
    logits[[0, 3, 4, 5, 1, 2]] = -torch.arange(6.0)
    network.classifier.load_state_dict({"weight": torch.zeros(1000, 256), "bias": logits})
    scores = LinearTrainer(
        LinearFlags(arch="resnet10-small", image_size=16), network, val, val, reading, reading.group
    ).score()
    loss = math.log(sum(math.exp(-k) for k in range(6))) + (0 + 4 + 5) / 3
    assert scores == pytest.approx({"accuracy/val": 1 / 3, "accuracy/val_top5": 2 / 3, "loss/val": loss}, rel=1e-5)


def test_each_of_two_processes_counts_its_gradient_twice(tree):
    """Their mean is then that of the whole batch, whatever the parts."""
    reading = Reading(batch_size=4, workers=0, seed=0, group=Group(0, 1, torch.device("cpu")))
    images, weights = read_tree(tree / "val"), []
    for processes in (1, 2):
        network = LinearNetwork("resnet10-small", 0)
        flags = LinearFlags(arch="resnet10-small", image_size=16)
        trainer = LinearTrainer(flags, network, images, images, reading, reading.group)
        trainer.group = Group(0, processes, torch.device("cpu"))
        ((views, labels),) = labelled_batches(images, Look(16), [np.arange(4)], reading)
        trainer.update(views, labels, 4 * processes)
        weights.append(network.classifier.weight.detach())
    torch.testing.assert_close(weights[0], weights[1])


def test_ctrl_c_and_resume_give_the_same_bits(whole, command, tmp_path, monkeypatch, capfd):
    stop_in_step(monkeypatch, LinearTrainer, 6)
    run = tmp_path / "run"
    assert main_lincls.main([*command, f"--run_dir={run}"]) == 130
    assert "after step 6" in capfd.readouterr().err
    assert main_lincls.main([*command, "--resume", str(run), f"--ckpt_path={run}"]) == 0
    assert (run / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()
    for name in ("checkpoint_robust_0000.pth.tar", "model_best_0000.pth.tar"):
        assert_same_bits(read_tensors(run / name), read_tensors(whole / name))
    assert result_of(run)["metrics"] == result_of(whole)["metrics"]


def test_evaluate_scores_a_trained_classifier(whole, tree, capsys):
    given = whole / "checkpoint_robust_0000.pth.tar"
    assert main_lincls.main([*LINEAR, "-e", f"--resume={given}", str(tree)]) == 0
    shown = dict(zip(*[iter(capsys.readouterr().out.split())] * 2, strict=True))
    assert float(shown["accuracy/val"]) == pytest.approx(metrics_of(whole)[-1]["accuracy/val"], abs=1e-4)


def test_mistakes_are_one_sentence(pretrained, whole, tree, tmp_path, capfd):
    other = make_tree(tmp_path / "other")
    (other / "val" / "n01").rename(other / "val" / "n07")
    given = f"--pretrained={pretrained}"
    robust = whole / "checkpoint_robust_0000.pth.tar"
    cases = [
        ([str(tree)], ["--pretrained is missing"]),
        ([f"--pretrained={tmp_path / 'no.pth.tar'}", str(tree)], ["no.pth.tar", "no such file"]),
        ([f"--pretrained={robust}", str(tree)], ["holds no encoder_q"]),
        ([given, "--arch=resnet18", str(tree)], ["does not fit --arch"]),
        (["-e", str(tree)], ["--evaluate", "--resume"]),
        (["-e", f"--resume={pretrained}", str(tree)], ["holds no trained classifier"]),
        ([given, str(other)], ["different classes", "n01"]),
        ([given, f"--val={tmp_path / 'nowhere'}", str(tree)], ["nowhere"]),
        ([given, "--resume=/nowhere.pth.tar", str(tree)], ["/nowhere.pth.tar"]),
        ([given, "--lr=-1", str(tree)], ["--lr=-1"]),
    ]
    for arguments, words in cases:
        assert main_lincls.main([*LINEAR, f"--run_dir={tmp_path / 'run'}", *arguments]) == 2, arguments
        err = capfd.readouterr().err
        (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
        assert all(word in line for word in words), line
    assert not (tmp_path / "run").exists()


def test_check_prints_the_configuration(command, capsys):
    assert main_lincls.main([*command, "--check"]) == 0
    assert 'program: "main_lincls"' in capsys.readouterr().out


@pytest.mark.parametrize("name, wanted", [
    ("ckpts/checkpoint_0199.pth.tar", "0199"), ("a_b/model_best_7.pth", "7"), ("plain.pth.tar", "plain"),
])  # fmt: skip
def test_what_stands_after_the_last_underscore(name, wanted):
    assert encoder_number(name) == wanted


def test_views_for_scoring():
    """Resize of the shorter side to 256/224, then the centre; without the resize the centre alone."""
    image = torch.arange(40 * 60, dtype=torch.uint8).reshape(1, 40, 60).expand(3, 40, 60).contiguous()
    view = centre_view(image, 28, resize=False)
    assert torch.equal(view, image[:, 6:34, 16:44])
    from torchvision.transforms import v2

    reference = v2.Compose([v2.Resize(32, antialias=True), v2.CenterCrop(28)])
    found = centre_view(image, 28, resize=True)
    assert found.shape == (3, 28, 28)
    assert (found.int() - reference(image).int()).abs().max() <= 1
    assert torch.equal(centre_view(found, 28, resize=False), found)
    crops = {random_view(image, 16, np.random.default_rng(seed)).numpy().tobytes() for seed in range(5)}
    assert len(crops) == 5


def test_neighbours_against_a_loop():
    random = torch.Generator().manual_seed(0)

    def unit(count):
        values = torch.randn(count, 4, generator=random, dtype=torch.float64)
        return values / values.norm(dim=1, keepdim=True)

    queries, bank = unit(30), unit(40)
    labels = torch.randint(0, 5, (40,), generator=random)
    for k in (1, 7, 100):
        found = neighbour_classes(queries, bank, labels, 5, k)
        for query, guess in zip(queries, found.tolist(), strict=True):
            cosines = sorted(
                ((float(query @ row), int(label)) for row, label in zip(bank, labels, strict=True)), reverse=True
            )
            votes = [sum(math.exp(c / 0.07) for c, label in cosines[:k] if label == number) for number in range(5)]
            assert guess == votes.index(max(votes))


def test_neighbours_are_of_train_and_leave_the_encoder_as_it_was(tree, monkeypatch):
    encoder = build_encoder("resnet10-small", 8, True, 0).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    reading = Reading(batch_size=4, workers=0, seed=0, group=Group(0, 1, torch.device("cpu")))
    train, val = read_tree(tree / "train"), read_tree(tree / "val")
    monitor = module.Neighbours(train, val, 5, 16, reading, Group(0, 1, torch.device("cpu")))
    seen = []

    def kept(*given):
        seen.append(given)
        return neighbour_classes(*given)

    monkeypatch.setattr(module, "neighbour_classes", kept)
    accuracy = monitor(encoder)
    assert encoder.training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    # the bank: the first five images of each class of train/; the queries: val/; both as a test sees them
    encoder.eval()
    first = np.concatenate([np.flatnonzero(train.labels == label)[:5] for label in range(3)])
    expected = []
    for images, places in ((val, np.arange(9)), (train, first)):
        ((views, labels),) = labelled_batches(images, Look(16), [places], reading)
        with torch.no_grad():
            expected.append((torch.nn.functional.normalize(features_of(encoder, views), dim=1), labels))
    ((queries, bank, labels, classes),) = seen
    torch.testing.assert_close(queries, expected[0][0])
    torch.testing.assert_close(bank, expected[1][0])
    assert labels.tolist() == expected[1][1].tolist() and classes == 3
    assert accuracy == (neighbour_classes(*seen[0]) == expected[0][1]).double().mean()


def test_the_program_from_inside_its_folder():
    process = start(["main_lincls.py"], "--help", cwd=ROOT / "moco_nonsem")
    out, err = process.communicate()
    assert process.returncode == 0 and "--pretrained" in out, err
