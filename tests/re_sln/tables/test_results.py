"""results.py on folders of ours, and on logs that are damaged or say too little."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from re_sln.former_names import from_recorded
from re_sln.results import main
from re_sln.tables import result_curves
from re_sln.tables.cell_of_run import noise_of, place_of
from re_sln.tables.result_tables import other_tables, published_tables
from re_sln.tables.run_logs import read_logs
from tests.re_sln.logged_runs import (
    CUSTOM,
    OURS,
    PUBLISHED,
    no_pictures,  # noqa: F401 a fixture
    our_run,
    published_run,
    published_search,
    write_events,
)

PAPERS_SYM = "96c1bb492340f32681142d5cb2b0003c005227235e923b27ef86d2c11ab083d0"


def results(place: Path, *words: str) -> int:
    return main([f"--logdir={place / 'runs'}", f"--out={place / 'out'}", *words])


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def section(text: str, title: str) -> list[str]:
    """The lines of one table."""
    (found,) = (part for part in text.split("### ") if part.startswith(title))
    return lines(found)


def cells_of(text: str, title: str) -> dict[tuple[str, str], str]:
    """The cells of one table by row and column."""
    grid = [[cell.strip() for cell in line.strip("| ").split("|")] for line in section(text, title) if line[:1] == "|"]
    header, _, *rows = grid
    return {(row[0], column): cell for row in rows for column, cell in zip(header[1:], row[1:], strict=True)}


def test_our_folders_at_any_depth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    our_run(runs / "exp_2026-01-01_10-00-00-000001", 0.8064)
    our_run(runs / "sln-cifar10-sln-sym-custom" / "seed_123" / "run", 0.8012, **CUSTOM)
    our_run(runs / "exp_ce", 0.5605, sigma=0.0, model="ce")
    our_run(runs / "exp_0.6", 0.75, sigma=0.6)
    our_run(runs / "exp_lc", 0.8745, mo=True, lc_n_epoch=250)
    assert results(tmp_path) == 0
    printed, told = capsys.readouterr()
    table = cells_of(printed, "CIFAR-10 with 40 % label noise")
    ours = "80.38 ± 0.26 (n = 2: 80.64, 80.12)<br>"
    assert table["SLN", "sym"].startswith(
        f"{ours}cited 80.00 ± 0.61<br>rerun 80.38 ± 0.26<br>gap to cited +0.38 points"
    )
    assert table["SLN-MO-LC", "sym"].startswith("87.45 (n = 1)<br>cited 87.00 ± 0.27<br>")
    assert [table["SLN", noise].split("<br>")[0] for noise in ("asym", "dependent", "openset")] == ["not run"] * 3
    ablation = cells_of(printed, "SLN against σ")
    assert ablation["SLN", "0.6"] == "75.00 (n = 1)<br>rerun 75.10 ± 0.15<br>gap to rerun -0.10 points, -0.7 std"
    assert ablation["SLN", "0"].startswith("56.05 (n = 1)<br>")
    assert ablation["SLN", "1.0"].startswith(ours)
    assert "Not " not in printed.replace("Not a", "")
    assert "5 runs, 0 searches" in told
    assert (tmp_path / "out" / "curves-cifar10-loss.png").exists()


def test_what_was_not_published_has_a_table_and_a_name_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    our_run(runs / "a", 0.99, data="cifar10-jpeg")
    our_run(runs / "b", 0.98, limit_train_examples=2560, n_epochs=2)
    our_run(runs / "c", 0.97, custom_noise=True)
    our_run(runs / "d", 0.96, data="unverified-0123abcd")
    our_run(runs / "e", 0.95, noise_mode="asym", sigma=0.7)
    our_run(runs / "f", 0.94, amp="bf16")
    our_run(runs / "g", 0.93, mo=True, lc_n_epoch=200)
    digits: dict[str, Any] = {
        "dataset_name": "digits",
        "network": "wrn-10-2",
        "image_size": 8,
        "lr": 0.03,
        "augmentation": "none",
    }
    our_run(runs / "h", 0.92, n_epochs=60, mo=True, lc_n_epoch=48, ema_decay=0.99, custom_noise=True, **digits)
    assert results(tmp_path) == 0
    printed = capsys.readouterr().out
    for value in range(92, 100):
        assert printed.count(f"{value}.00 (n = 1)") == 1
    for table in published_tables(read_logs(runs, None)):
        assert not any(result.values for result in table.results), table.title
    assert "| SLN | 99.00 (n = 1) |" in section(printed, "Not the published data: cifar10-jpeg; settings as published")
    assert "| SLN | 98.00 (n = 1) |" in section(
        printed, "Not a published setting: cifar10; n_epochs = 2, limit_train_examples = 2560"
    )
    assert "| SLN | 96.00 (n = 1) |" in section(printed, "Not the published data: unverified-0123abcd")
    assert "| SLN | 94.00 (n = 1) |" in section(printed, "Not a published setting: cifar10; amp = bf16")
    others = section(printed, "Not a published setting: cifar10; other models or noise")
    assert others[2] == "| noise | asym | sym | sym (custom_rng = independent) |"
    assert "| SLN | not run | not run | 97.00 (n = 1) |" in others
    assert "| SLN (σ = 0.7) | 95.00 (n = 1) | not run | not run |" in others
    assert "| SLN-MO-LC (LC from 200) | not run | 93.00 (n = 1) | not run |" in others
    assert "| SLN-MO-LC (EMA 0.99, LC from 48) | 92.00 (n = 1) |" in section(
        printed, "Not the published data: digits; n_epochs = 60, lr = 0.03, network = wrn-10-2, image_size = 8"
    )
    names = {path.name for path in (tmp_path / "out").iterdir()}
    stem = "other-cifar10-n_epochs-2-limit_train_examples-2560"
    assert {f"{stem}.md", f"{stem}.csv", f"{stem}.png", f"{stem}.tex", f"curves-{stem}-accuracy.png"} <= names
    assert "other-cifar10-jpeg.md" in names
    assert "curves-cifar10-accuracy.png" not in names


@pytest.mark.usefixtures("no_pictures")
def test_a_run_that_lies_there_twice_counts_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    search: dict[str, Any] = {"val_size": 0.1, "val_transform": "train", "sigma": None}
    our_run(runs / "other seed", 0.80, seed=124)
    our_run(runs / "x", 0.90)
    our_run(runs / "x again, on another machine", 0.91)
    our_run(runs / "x, unfinished", 0.92, finished=False)
    our_run(runs / "hp", {"accuracy_val_sigma_0.1": 0.34}, **search)
    for name in ("x", "hp"):
        shutil.copytree(runs / name, runs / f"{name}-copy")
    assert results(tmp_path) == 0
    printed, told = capsys.readouterr()
    assert cells_of(printed, "CIFAR-10 with")["SLN", "sym"].startswith("85.00 ± 5.00 (n = 2: 80.00, 90.00)")
    assert cells_of(printed, "Search for σ on CIFAR-10")["sym", "0.1"].startswith("34.00 (n = 1)")
    assert told.count("the same settings, seed and data as x, which counts") == 2
    assert "left out: hp-copy: the same settings, seed and data as hp, which counts" in told


@pytest.mark.usefixtures("no_pictures")
def test_the_best_sigma_is_that_of_the_highest_mean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags: dict[str, Any] = {"val_size": 0.1, "val_transform": "train", "sigma": None}
    for seed, (small, large) in enumerate([(0.5, 0.7), (0.6, 0.3)]):
        metrics = {"accuracy_val_sigma_0.1": small, "accuracy_val_sigma_1.0": large}
        our_run(tmp_path / "runs" / f"hp {seed}", metrics, seed=seed, **flags)
    assert results(tmp_path) == 0
    assert "Best σ of these searches: sym 0.1 (the tables use 1.0 all the same)." in capsys.readouterr().out


@pytest.mark.usefixtures("no_pictures")
def test_our_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {"accuracy_val_sigma_0.1": 0.34, "accuracy_val_sigma_0.5": 0.5, "accuracy_val_sigma_1.0": 0.4}
    search: dict[str, Any] = {"val_size": 0.1, "val_transform": "train", "sigma": None}
    our_run(tmp_path / "runs" / "a", metrics, **search)
    our_run(tmp_path / "runs" / "b", {"accuracy_val_sigma_0.7": 0.99}, **{**search, "val_transform": "test"})
    our_run(tmp_path / "runs" / "c", {"accuracy_val_sigma_0.1": 0.98}, **{**search, "mo": True})
    assert results(tmp_path) == 0
    printed = capsys.readouterr().out
    assert printed.count("98.00") == 1
    table = cells_of(printed, "Search for σ on CIFAR-10")
    shown = [table["sym", sigma].split("<br>")[0] for sigma in ("0.1", "0.2", "0.5", "1.0")]
    assert shown == ["34.00 (n = 1)", "not run", "50.00 (n = 1)", "40.00 (n = 1)"]
    assert "Best σ of these searches: sym 0.5 (the tables use 1.0 all the same)." in printed
    assert printed.count("99.00") == 1
    other = section(printed, "Not a published setting: cifar10; val_transform = test; search for σ")
    assert "| sym | 99.00 (n = 1) |" in other


@pytest.mark.usefixtures("no_pictures")
def test_without_runs_every_cell_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    our_run(tmp_path / "runs" / "a", 0.5, n_epochs=2)
    assert results(tmp_path) == 0
    printed = capsys.readouterr().out
    assert printed.count("not run") == 16 + 12 + 8 + 4 + 11


@pytest.mark.usefixtures("no_pictures")
def test_runs_that_cannot_be_used_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    our_run(runs / "good", 0.5)
    our_run(runs / "half", 0.5, finished=False)
    our_run(runs / "ieg", 0.5, sub_project="ieg")
    our_run(runs / "none", 0.5, mo=True, sigma=0.0)
    our_run(runs / "mnist", 0.5, dataset_name="mnist")
    our_run(runs / "mode", 0.5, noise_mode="pair")
    our_run(runs / "silent", 0.5, lc_n_epoch=None)
    our_run(runs / "trial", {"accuracy_val": 0.5})
    our_run(runs / "broken", 0.5)
    (runs / "broken" / "result.json").write_text("{")
    assert results(tmp_path) == 0
    told = capsys.readouterr().err
    assert "1 runs, 0 searches" in told
    left_out = dict(line.removeprefix("left out: ").split(": ", 1) for line in told.splitlines() if "left out" in line)
    assert set(left_out) == {"half", "none", "mnist", "mode", "silent", "trial", "broken"}
    assert left_out["half"] == "the run is not finished"
    assert "is none of the four models" in left_out["none"]
    assert "dataset_name=mnist is none of cifar10" in left_out["mnist"]
    assert "noise_mode=pair is none of sym" in left_out["mode"]
    assert "does not say lc_n_epoch" in left_out["silent"]
    assert left_out["trial"] == "its metrics are accuracy_val, not accuracy"
    assert "result.json" in left_out["broken"]


@pytest.mark.usefixtures("no_pictures")
def test_published_logs_with_spaces_and_colons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published_run(tmp_path, [0.1] * 299 + [0.8064])
    published_run(tmp_path, [0.1] * 299 + [0.8012], "exp_2021-11-25 20:31:37.546765", custom_noise=True)
    published_search(tmp_path, "hp_2021-12-03_13-18-02", {0.1: 0.3424, 1.0: 0.4812})
    assert results(tmp_path) == 0
    printed, told = capsys.readouterr()
    assert "left out" not in told
    assert cells_of(printed, "CIFAR-10 with")["SLN", "sym"].startswith("80.38 ± 0.26 (n = 2: 80.64, 80.12)<br>")
    search = cells_of(printed, "Search for σ")
    assert search["sym", "0.1"].startswith("34.24 (n = 1)<br>") and search["sym", "1.0"].startswith("48.12 (n = 1)<br>")


@pytest.mark.usefixtures("no_pictures")
def test_damaged_logs_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published_run(tmp_path, [0.5] * 300, "good")
    cut = published_run(tmp_path, [0.5] * 300, "cut")
    (events,) = cut.glob("events*")
    events.write_bytes(events.read_bytes()[:5000])
    garbage = published_run(tmp_path, [0.5] * 300, "garbage")
    (events,) = garbage.glob("events*")
    events.write_bytes(b"no event file at all" * 9)
    (tmp_path / "configs" / "gone").mkdir()
    (tmp_path / "configs" / "gone" / "config.yml").write_text("exp_id: gone\n")
    write_events(tmp_path / "runs" / "nameless", {"accuracy/test": [0.5]})
    published_run(tmp_path, [0.5] * 300, "untold")
    (tmp_path / "configs" / "untold" / "config.yml").write_text("n_epochs: 300\n")
    strange = published_run(tmp_path, [0.5] * 300, "strange")
    (tmp_path / "configs" / "strange" / "config.yml").write_text("- a list\n")
    unreadable = published_run(tmp_path, [0.5] * 300, "unreadable")
    (tmp_path / "configs" / "unreadable" / "config.yml").write_text("a: [\n")
    assert results(tmp_path) == 0
    told = capsys.readouterr().err
    assert "left out: cut: its event file ends after epoch" in told
    assert "left out: garbage: its event file holds no accuracy/test" in told
    assert f"left out: gone: {tmp_path / 'runs' / 'gone'} holds no event file" in told
    assert "left out: nameless: there is no config.yml in" in told and "--configs names their folder" in told
    assert f"left out: {strange.name}: " in told and "is no list of settings" in told
    assert f"left out: {unreadable.name}: " in told
    assert "left out: untold: its configuration does not say dataset_name" in told
    assert "1 runs, 0 searches" in told


@pytest.mark.usefixtures("no_pictures")
def test_damaged_searches_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published_run(tmp_path, [0.5] * 300)
    published_search(tmp_path, "hp_2021-12-03_13-18-02", {0.1: 0.3, 0.2: 0.3}, epochs=299)
    published_search(tmp_path, "hp_unheard_of", {0.1: 0.3})
    (trial,) = published_search(tmp_path, "hp_2021-12-04_17-04-54", {0.1: 0.3}).iterdir()
    (trial / "progress.csv").write_text("epoch\n1\n")
    (tmp_path / "hp" / "hp_2021-12-05_10-55-09").mkdir()
    assert results(tmp_path) == 0
    told = capsys.readouterr().err
    assert "the trial with σ = 0.1 ends after epoch 299 of 300" in told
    assert "left out: hp_unheard_of: " in told
    assert "--hp_map" in told
    assert f"trial {trial.name} is damaged ('training_iteration')" in told
    assert "holds no trial with a progress.csv" in told


@pytest.mark.usefixtures("no_pictures")
def test_a_map_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published_run(tmp_path, [0.5] * 300)
    published_search(tmp_path, "my search", {0.1: 0.7234}, epochs=300)
    own = tmp_path / "map.yaml"
    own.write_text("my search: {dataset_name: cifar10, noise_mode: asym, p: 0.4, custom_noise: true, n_epochs: 300}\n")
    assert results(tmp_path, "--hp-map", str(own)) == 0
    assert cells_of(capsys.readouterr().out, "Search for σ")["asym", "0.1"].startswith("72.34 (n = 1)<br>")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--logdir=nowhere"], "--logdir=.*nowhere is no folder"),
        (["--configs=nowhere"], "--configs=nowhere is no folder"),
        (["--hp=nowhere"], "--hp=nowhere is no folder"),
        (["--hp_map=nowhere"], "--hp_map=nowhere: "),
        ([], "holds no finished run"),
    ],
)
def test_mistakes_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "hp").mkdir()
    assert results(tmp_path, *words) == 2
    error = capsys.readouterr().err
    assert re.match(f"error: .*{message}", error)
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_pictures")
def test_the_default_folder_is_that_of_our_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNS_DIR", str(tmp_path))
    our_run(tmp_path / "re_sln" / "exp_1", 0.5)
    assert main([f"--out={tmp_path / 'out'}"]) == 0
    assert "1 runs, 0 searches" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "noise"),
    [
        ({}, "sym"),
        ({"noise_sha256": PAPERS_SYM}, "sym"),
        ({"noise_sha256": "0" * 64}, "sym (not the authors' file)"),
        ({"p": 0.2}, "sym (p = 0.2)"),
        ({"p": 0.0}, "no noise"),
        (CUSTOM, "sym"),
        ({"custom_noise": True}, "sym (custom_rng = independent)"),
        ({**CUSTOM, "asym_rules": "authors"}, "sym"),
        ({"noise_mode": "asym", **CUSTOM}, "asym"),
        ({"noise_mode": "asym", **CUSTOM, "asym_rules": "authors"}, "asym (asym_rules = authors)"),
        ({"noise_mode": "dependent"}, "dependent"),
        ({"noise_mode": "dependent", "custom_noise": True}, "dependent (custom)"),
        ({"noise_mode": "openset", **CUSTOM}, "openset"),
        ({"noise_mode": "openset"}, "openset (not custom)"),
        ({"noise_mode": None}, "-"),
        ({"dataset_name": "digits", "custom_noise": True}, "sym"),
        ({"dataset_name": "digits", **CUSTOM}, "sym (custom_rng = rerun)"),
    ],
)
def test_noise_that_is_not_the_published_one_is_named(changes: dict[str, object], noise: str) -> None:
    assert noise_of(from_recorded({**OURS, **changes})) == noise


def test_clothing1m_has_settings_of_its_own(tmp_path: Path) -> None:
    usual: dict[str, Any] = {"dataset_name": "clothing1m", "n_epochs": 10, "batch_size": 32, "network": "resnet50"}
    usual |= {"norm": "authors", "noise_mode": None, "p": None, "sigma": 0.2, "mo": True, "model": "sln-mo-lc"}
    our_run(tmp_path / "a", 0.73, **usual, lc_n_epoch=2)
    our_run(tmp_path / "b", 0.72, **usual, lc_n_epoch=3)
    our_run(tmp_path / "c", 0.71, **{**usual, "n_epochs": 5}, lc_n_epoch=2)
    published, other = other_tables(read_logs(tmp_path, None))
    assert published.title == "Clothing1M: settings as published; the published values are not at hand"
    assert published.rows == ("SLN-MO-LC", "SLN-MO-LC (LC from 3)")
    assert (
        "; accuracy at the epoch that is best on the clean validation images, never the best on test" in published.note
    )
    assert other.title == "Clothing1M: n_epochs = 5"


def test_a_published_log_says_less_and_means_the_same() -> None:
    assert place_of(PUBLISHED, "cifar10") == place_of(OURS, "cifar10")
    assert place_of({**PUBLISHED, "sigma": 0}, "cifar10").row == "CE"
    assert place_of({**PUBLISHED, "custom_noise": True}, "cifar10").column == "sym"
    scored = {**OURS, "mo": True, "lc_n_epoch": 250, "lc_eval_transform": "test"}
    assert place_of(scored, "cifar10").row == "SLN-MO-LC (scored under test transform)"
    with pytest.raises(UsageError, match="does not say sigma"):
        place_of({**PUBLISHED, "sigma": None}, "cifar10")


def test_curves_of_accuracies_are_in_percent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: dict[str, Any] = {}
    monkeypatch.setattr(
        result_curves, "save_figure", lambda figure, path, *_, **__: figures.update({path.name: figure})
    )
    our_run(tmp_path / "runs" / "a", 0.75)
    result_curves.draw_curves(read_logs(tmp_path / "runs", None).runs, tmp_path / "out")
    (line,) = figures["curves-cifar10-accuracy.png"].axes[0].lines
    assert list(line.get_xdata()) == [1, 300] and list(line.get_ydata()) == pytest.approx([30, 75])


def test_accuracies_are_rounded_as_tensorboard_rounds_them(tmp_path: Path) -> None:
    """0.7544 and 0.7531 in double precision are published as 75.37; exact fractions would give 75.38."""
    runs = tmp_path / "runs"
    asym: dict[str, Any] = {"noise_mode": "asym", "sigma": 0.0}
    our_run(runs / "a", 0.7544, **asym)
    our_run(runs / "b", 0.7531, **{**asym, **CUSTOM})
    table = published_tables(read_logs(runs, None))[0]
    assert "75.37 ± 0.07 (n = 2: 75.44, 75.31)" in table.markdown()
    assert other_tables(read_logs(runs, None)) == []
