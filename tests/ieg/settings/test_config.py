import dataclasses
import math

import pytest

from common.errors import UsageError
from common.flags import make_parser
from ieg.main import run_folder
from ieg.settings.config import resolve, without_effect
from ieg.settings.flags import Flags, parse_flags
from ieg.settings.fsr_config import partial_level

AUTHORS = {  # names and defaults of the authors' program
    "max_iteration": 200000, "max_epoch": None, "learning_rate": 0.1, "batch_size": 100, "val_batch_size": 100,
    "restore_step": 0, "network_name": "wrn28-10", "dataset": "cifar100_uniform_0.8", "seed": 12345, "method": "ieg",
    "momentum": 0.9, "decay_steps": "500", "decay_epochs": "1", "decay_rate": 0.1, "warmup_epochs": 0,
    "lr_schedule": "cosine", "cos_t_mul": 1.5, "cos_m_mul": 0.9, "use_ema": True, "meta_momentum": 0.9,
    "meta_stepsize": 0.1, "ce_factor": 5, "consistency_factor": 20, "probe_dataset_hold_ratio": 0.02,
    "grad_eps_init": 0.9, "aug_type": "autoaug", "mode": "train", "use_imagenet_as_eval": False,
    "ds_include_metadata": False, "distribution_strategy": "mirrored", "pretrained_ckpt_mode": "imagenet",
    "label_smoothing": 0, "dropout_rate": 0, "summary_eval_to_train": False, "l2_weight_decay": 4e-4,
    "weight_decay": 5e-4, "fix_network_features": False, "queue_beta": 0.9, "use_mixup": True, "queue_capacity": 2000,
    "queue_bs": 200, "queue_metric": "margin", "meta_start_epoch": 20, "use_pseudo_loss": "all_1_0.1_2",
    "clip_meta_weight": False, "moving_weight_gamma": 0, "meta_moving_end_epoch": 0, "verbose_finer_log": False,
    "post_batch_mode_autoaug": False,
}  # fmt: skip
NAMES = {
    "checkpoint_path",
    "dataset_dir",
    "tpu",
    "pretrained_ckpt",
    "meta_partial_level",
    "exp_path_pattern",
    "xm_exp_id",
}


def config(*arguments, replicas=1):
    return resolve(parse_flags(list(arguments)), replicas)


def test_names_and_defaults_of_the_authors():
    flags = parse_flags([])
    assert {name: getattr(flags, name) for name in AUTHORS} == AUTHORS
    assert {field.name for field in dataclasses.fields(Flags)} >= NAMES


def test_forms_of_flags():
    flags = parse_flags(
        ["--batch-size", "4", "--nouse_ema", "--use_mixup=False", "--deterministic", "--decay-rate=1e-2"]
    )
    assert (flags.batch_size, flags.use_ema, flags.use_mixup, flags.deterministic) == (4, False, False, True)
    assert flags.decay_rate == 0.01
    assert parse_flags(["--checkpoint_path=some-folder"]).checkpoint_path == "some-folder"
    with pytest.raises(dataclasses.FrozenInstanceError):
        flags.batch_size = 5
    assert "--batch_size" in make_parser(Flags, "ieg.main", "").format_help()


def test_help_names_every_method_and_kind_of_data(capsys):
    with pytest.raises(SystemExit) as stop:
        parse_flags(["--help"])
    assert stop.value.code == 0
    description = capsys.readouterr().out.partition("options:")[0].partition("Trains")[2]
    for name in ("supervised", "l2r", "ieg", "fsr", "CIFAR", "WebVision", "digits"):
        assert name in description


def test_flags_without_effect_are_accepted_and_not_shown():
    """The authors' commands have them."""
    hidden = {
        "dropout_rate": 0.5, "fix_network_features": True, "post_batch_mode_autoaug": True,
        "summary_eval_to_train": True, "verbose_finer_log": True, "exp_path_pattern": "x", "xm_exp_id": "1",
        "ds_include_metadata": True, "queue_metric": "margin",
    }  # fmt: skip
    flags = parse_flags([f"--{name}={value}" for name, value in hidden.items()])
    assert {name: getattr(flags, name) for name in hidden} == hidden
    text = make_parser(Flags, "ieg.main", "").format_help()
    for field in dataclasses.fields(Flags):
        assert (f"--{field.name} " in text) != (field.name in hidden), field.name
    assert "no effect:" not in text


@pytest.mark.parametrize(
    "wrong", ["--nono_mixup", "--bach_size=4", "--batch_size=four", "--method=magic", "--use_ema=maybe", "stray"]
)
def test_unreadable_flags_exit_with_2(wrong, capsys):
    with pytest.raises(SystemExit) as stop:
        parse_flags([wrong])
    assert stop.value.code == 2
    assert wrong.split("=")[-1].lstrip("-").replace("_", "") in capsys.readouterr().err.replace("_", "")


WRONG = [
    (["--dataset=cifar11"], "cifar11"),
    (["--dataset=cifar10_uniform"], "uniform"),
    (["--dataset=cifar10_uniform_1.5"], "1.5"),
    (["--dataset=cifar10_uniform_nan"], "nan"),
    (["--dataset=cifar10_gaussian_0.1"], "gaussian"),
    (["--dataset=cifar100_asymmetric_0.4"], "CIFAR-10 only"),
    (["--dataset=cifar10_imbal"], "imbalance"),
    (["--dataset=cifar10_imbal_0"], "above 0"),
    (["--dataset=cifar10_imbal_nan"], "nan"),
    (["--dataset=cifar100_imbal_0.001"], "0.002 or more"),
    (["--dataset=cifar10_imbal_0.02_2"], "between 0 and 1"),
    (["--dataset=cifar10_imbal_0.02_0.2_1"], "not a known name"),
    (["--dataset=webvisionmini_0"], "trusted images a class"),
    (["--dataset=webvisionmini_10_0.2"], "trusted images a class"),
    (["--dataset=cifar10", "--use_imagenet_as_eval"], "goes with webvisionmini"),
    (["--dataset=webvisionmini", "--aug_type=randaug"], "is CIFAR's"),
    (["--dataset=webvisionmini", "--weak_aug=none"], "have to be cropped"),
    (["--dataset=webvisionmini", "--image_size=225"], "multiple of 32"),
    (["--dataset=digits_imbal_0.1", "--method=l2r", "--probe_dataset_hold_ratio=0.3"], "smallest class"),
    (["--tpu=local"], "needs --distribution_strategy=tpu"),
    (["--distribution_strategy=tpu"], "needs --distribution_strategy=tpu"),
    (["--distribution_strategy=one_device", "--num_devices=2"], "one device"),
    (["--pretrained_ckpt=/nowhere/model"], "/nowhere/model is not a checkpoint"),
    (["--probe_dataset_hold_ratio=0"], "one a class"),
    (["--probe_dataset_hold_ratio=0.0019"], "95 of 50000"),
    (["--probe_dataset_hold_ratio=1"], "to train on"),
    (["--probe_dataset_hold_ratio=-0.1"], "between 0 and 1"),
    (["--batch_size=50001"], "batch_size=50001"),
    (["--batch_size=0"], "batch_size=0"),
    (["--workers=0"], "workers=0 is not at least 1"),
    (["--max_epoch=0"], "max_epoch=0"),
    (["--learning_rate=0"], "positive"),
    (["--learning_rate=nan"], "positive"),
    (["--cos_t_mul=0.5"], "cos_t_mul=0.5"),
    (["--decay_steps=180,160"], "180,160"),
    (["--decay_steps=x"], "decay_steps=x"),
    (["--ce_factor=-1"], "ce_factor=-1"),
    (["--grad_eps_init=2"], "grad_eps_init=2"),
    (["--seed=4294967296"], "seed=4294967296"),
    (["--method=l2r", "--no_mixup"], "switches of ieg"),
    (["--image_size=16"], "only the digits"),
    (["--dataset=digits", "--image_size=17"], "image_size=17"),
    (["--meta_partial_level=3"], "none of -1"),
    (["--meta_partial_level=1"], "not for wrn28-10"),
    (["--method=fsr", "--network_name=resnet32", "--meta_partial_level=2"], "not for resnet32"),
    (["--method=fsr", "--use_pseudo_loss=all_1_2"], "use_pseudo_loss=all_1_2"),
    (["--method=fsr", "--queue_capacity=2010"], "queue_capacity=2010 is not a multiple of the 100 classes"),
    (["--method=fsr", "--queue_capacity=0"], "try 100"),
    (["--method=fsr", "--dataset=cifar10", "--queue_bs=128"], "try 130"),
    (["--method=fsr", "--queue_bs=2100"], "more than --queue_capacity=2000"),
    (["--method=fsr", "--queue_beta=-1"], "queue_beta=-1"),
    (["--method=fsr", "--queue_beta=nan"], "queue_beta=nan"),
    (["--method=fsr", "--meta_start_epoch=-1"], "meta_start_epoch=-1"),
    (["--method=fsr", "--moving_weight_gamma=1"], "below 1"),
    (["--method=fsr", "--meta_moving_end_epoch=20"], "not after"),
    (["--method=fsr", "--reuse_features", "--meta_partial_level=-1"], "look-ahead on the classifier"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_impossible_values_are_refused_by_name(arguments, message):
    with pytest.raises(UsageError, match=message.replace(".", r"\.")):
        config(*arguments)


def test_default_run_and_the_recipe_of_cifar10():
    assert (config().probe_size, config().num_train, config().steps_per_epoch) == (1000, 49000, 490)
    ten = config("--dataset=cifar10_uniform_0.8", "--probe_dataset_hold_ratio=0.002", "--network_name=resnet29")
    assert (ten.probe_size, ten.steps_per_epoch, ten.eval_every) == (100, 499, 499)
    assert ten.cycle_ends[:5] == [499, 1248, 2371, 4055, 6581]
    assert ten.rate(1247) == pytest.approx(9.92e-8, rel=2e-3)
    assert [step for step in range(1, 1300) if ten.evaluates(step)] == [499, 998, 1248]
    assert config("--batch_size=50", replicas=2).steps_per_epoch == 490


def test_probe_sizes_of_the_papers():
    for ratio, size in [("0.0002", 10), ("0.001", 50), ("0.002", 100)]:
        assert config("--dataset=cifar10", f"--probe_dataset_hold_ratio={ratio}").probe_size == size
    for ratio, size in [("0.002", 100), ("0.01", 500), ("0.02", 1000)]:
        assert config(f"--probe_dataset_hold_ratio={ratio}").probe_size == size
    assert config("--method=supervised", "--probe_dataset_hold_ratio=0").num_train == 50000


def test_schedules_by_flags():
    early = config("--cos_first_cycle=decay_steps")
    assert early.first_cycle == 500
    steps = config("--lr_schedule=custom_step", "--max_epoch=200", "--decay_epochs=160,180", "--decay_rate=0.01")
    assert (steps.last_step, steps.decay_steps) == (200 * 490, (160 * 490, 180 * 490))
    assert steps.rate(160 * 490 - 1) == 0.1
    assert steps.rate(160 * 490) == pytest.approx(0.001)
    assert steps.cycle_ends == [steps.last_step]
    warm = config("--lr_schedule=cosine_warmup", "--warmup_epochs=1", "--decay_steps=1000")
    assert (warm.rate(0), warm.rate(245)) == (0, 0.05)
    assert warm.rate(490) == pytest.approx(0.05 * (1 + math.cos(0.49 * math.pi)))
    assert config("--max_iteration=100").cycle_ends == [100]
    assert [s for s in range(1, 40) if config("--eval_freq=10", "--max_iteration=25").evaluates(s)] == [10, 20, 25, 30]


def test_evaluations_are_an_epoch_apart_unless_asked_otherwise():
    """The authors' 500 means an epoch; every other number means itself. All that mean an epoch are one run."""
    default, authors, other = config(), config("--eval_freq=500"), config("--eval_freq=501")
    assert (default.eval_every, authors.eval_every, other.eval_every) == (490, 490, 501)
    assert default.record() == authors.record() and default.record()["eval_freq"] == 500
    assert other.record()["eval_freq"] == 501
    with pytest.raises(UsageError, match="--eval_freq=0 is not at least 1"):
        config("--eval_freq=0")


def test_run_folders_differ_by_what_decides_the_numbers():
    base = run_folder(config("--checkpoint_path=x"))
    for other in (
        ["--method=l2r"],
        ["--seed=1"],
        ["--learning_rate=0.2"],
        ["--precision=bfloat16"],
        ["--dataset=cifar10"],
    ):
        assert run_folder(config("--checkpoint_path=x", *other)) != base
    same = ["--mode=evaluation", "--dataset_dir=y", "--workers=3", "--save_minutes=1", "--allow_unverified"]
    assert run_folder(config("--checkpoint_path=x", *same)) == base
    assert base.parent.name == "x"
    assert "ieg" in base.name


@pytest.mark.parametrize(
    "words, idle, choice",
    [
        ("--dropout_rate=0.5 --queue_bs=100", "dropout_rate queue_bs", "--method=ieg"),
        ("--label_smoothing=0.1", "label_smoothing", "--method=ieg"),
        ("--method=l2r --ce_factor=1 --meta_stepsize=0.2", "ce_factor", "--method=l2r"),
        ("--method=supervised --aug_type=randaug", "aug_type", "--method=supervised"),
        ("--method=l2r --meta_partial_level=0 --clip_meta_weight", "clip_meta_weight", "--method=l2r"),
        (
            "--method=fsr --queue_bs=100 --label_smoothing=0.1 --meta_momentum=0 --grad_eps_init=0.5",
            "grad_eps_init",
            "--method=fsr",
        ),
        ("--network_name=resnet29 --weight_decay=0", "weight_decay", "--network_name=resnet29"),
        ("--network_name=resnet11 --l2_weight_decay=0", "l2_weight_decay", "--network_name=resnet11"),
        ("--network_name=resnet50 --weight_decay=0 --l2_weight_decay=1", "weight_decay", "--network_name=resnet50"),
        ("--weight_decay=0 --l2_weight_decay=1", "l2_weight_decay", "--network_name=wrn28-10"),
        ("--decay_rate=0.5 --decay_steps=7 --cos_t_mul=2", "decay_rate decay_steps", "--lr_schedule=cosine"),
        ("--cos_first_cycle=decay_steps --decay_steps=7", "", ""),
        ("--lr_schedule=cosine_warmup --decay_steps=7 --cos_t_mul=2", "", ""),
        ("--lr_schedule=custom_step --max_epoch=9 --decay_epochs=7 --decay_rate=0.5", "", ""),
        (
            "--lr_schedule=custom_step --max_epoch=9 --decay_steps=7 --max_iteration=9",
            "decay_steps max_iteration",
            "--max_epoch",
        ),
        ("--lr_schedule=exponential --decay_epochs=7", "decay_epochs", "no --max_epoch"),
        ("--pretrained_ckpt_mode=all", "pretrained_ckpt_mode", "no --pretrained_ckpt"),
        ("--no_mixup --ce_factor=1", "ce_factor", "--no_mixup"),
        ("--method=fsr --meta_moving_end_epoch=30", "meta_moving_end_epoch", "--moving_weight_gamma=0"),
        ("--dataset=cifar10 --long_tail_from=cifar", "long_tail_from", "--dataset=cifar10"),
        ("--dataset=cifar10_imbal_0.02 --long_tail_from=cifar", "", ""),
    ],
)
def test_flags_without_effect_are_named(words, idle, choice):
    assert without_effect(parse_flags(words.split())) == dict.fromkeys(idle.split(), choice)


def test_layers_of_the_look_ahead():
    levels = [("ieg", [], -1), ("l2r", [], -1), ("fsr", [], 0), ("fsr", ["--meta_partial_level=-1"], -1)]
    for method, more, level in levels:
        assert partial_level(parse_flags([f"--method={method}", *more])) == level
    for network in ("resnet29", "resnet11"):
        config("--method=fsr", f"--network_name={network}", "--meta_partial_level=2")


def test_recipes_of_fsr():
    """As printed in the authors' README; cycle ends from the golden page."""
    ends = config("--method=fsr", "--max_iteration=63500", "--cos_t_mul=2", "--probe_dataset_hold_ratio=0").cycle_ends
    assert (ends[:2], ends[-1]) == ([500, 1500], 63500)
    tail = "--dataset=cifar10_imbal_0.02 --network_name=resnet32 --batch_size=128 --lr_schedule=custom_step"
    tail += " --max_epoch=200 --decay_epochs=160,180 --decay_rate=0.01 --label_smoothing=0.1 --use_mixup=False"
    tail += " --meta_start_epoch=160 --queue_capacity=3000 --queue_bs=800 --use_pseudo_loss="
    found = config("--method=fsr", *tail.split())
    assert (found.num_train, found.steps_per_epoch, found.last_step) == (13996, 109, 21800)
