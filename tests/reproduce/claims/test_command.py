"""`python -m reproduce claims` with the fake program: runs, records, page, picture."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.errors import UsageError
from common.results.tables import mean, sample_std
from reproduce.cells import ROOT
from reproduce.claims import page, records
from reproduce.claims.definitions import load_claims
from reproduce.claims.measures import terms
from reproduce.claims.verdicts import NOT_RUN, SUPPORTED
from reproduce.cli import main
from reproduce.commands.run import CLAIMS_OF, SEEDS_OF_A_DEMO
from reproduce.runs import DONE
from tests.reproduce.conftest import cells_content
from tests.reproduce.fake_program import accuracy

CLAIM: dict[str, Any] = {
    "paper": "IEG",
    "statement": "IEG beats L2R.",
    "short": "beats L2R",
    "place": "a table",
    "published": {"IEG": ["ieg", "uniform_noise", "cifar10", "IEG resnet29 10/class", "0.8"]},
    "scaled_down": "Everything.",
    "curve": {"metric": "acc/ema_eval", "against": "step"},
    "found": "It wins early.",
    "comparisons": [
        {
            "name": "accuracy",
            "measure": "last accuracy",
            "of": "small-a-0",
            "minus": "small-b-0",
            "above": 0,
            "matters": 1,
        },
        {
            "name": "purity",
            "measure": "last weights/clean - 1 + note noise_rate",
            "of": "small-a-0",
            "above": 0,
            "matters": 0,
        },
    ],
}


def content() -> dict[str, Any]:
    cells = cells_content(max_iteration=3)
    table = cells["tables"]["small"]
    del table["published"], table["source"], table["columns"]["0.8"]
    table["needs"]["gpus"] = 0
    table["rows"]["b"] = {"label": "L2R", "cost": "small", "flags": {"method": "l2r"}}
    return cells | {"claims": {"ieg-1": CLAIM, "ieg-2": CLAIM | {"comparisons": CLAIM["comparisons"][:1]}}}


@pytest.fixture
def claims_file(tmp_path: Path) -> Path:
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(content(), sort_keys=False))
    return path


def run(path: Path, *more: str) -> int:
    return main(["claims", "--cells", str(path), "--runs_dir", str(path.parent / "runs"), *more])


def test_runs_records_page_and_picture(claims_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(claims_file, "--claim", "ieg-1", "--jobs", "3") == 0
    printed = capsys.readouterr()
    assert "6 runs to do" in printed.err
    folder = claims_file.parent / "runs" / "claims"
    differences = [100 * (accuracy("ieg", seed, 3) - accuracy("l2r", seed, 3)) for seed in range(3)]
    assert f"{sum(differences) / 3:+.1f} [".replace("-", "−") in printed.out
    levels = [100 * accuracy("l2r", seed, 3) for seed in range(3)]
    row = next(line for line in printed.out.splitlines() if line.startswith("| accuracy"))
    assert f"| L2R {mean(levels):.1f} ± {sample_std(levels):.1f} |" in " ".join(row.split())
    assert "+100.0 [+100.0, +100.0]" in printed.out  # (1.3 − 1 + 0.7) of 1
    assert "IEG: IEG beats L2R. **Not supported, p 1.000.**" in printed.out
    assert (folder / "ieg-1.png").read_bytes().startswith(b"\x89PNG")
    kept = json.loads((folder / "records" / "small.json").read_text())
    assert [own["numbers"]["last accuracy"] for own in kept["small-b-0"]["runs"]] == [
        accuracy("l2r", seed, 3) for seed in range(3)
    ]
    assert kept["small-a-0"]["curves"]["acc/ema_eval"]["x"] == [1, 2, 3]
    text = (folder / "README.md").read_text()
    assert "It wins early." in text and "The paper, a table: IEG 85.6 ± 1.1." in text
    assert (text.count("Everything."), text.count("Scaled down as [ieg-1](#ieg-1).")) == (1, 1)
    # The page comes from the records alone; ieg-2 shares the runs of ieg-1.
    found = page.kept_findings(folder, claims_file)
    assert page.page(found, folder) == (folder / "README.md").read_text()
    assert len(found["ieg-2"].effects) == 1
    assert run(claims_file) == 0
    assert "runs to do" not in capsys.readouterr().err


def test_records_of_other_settings_do_not_count(claims_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(claims_file) == 0
    folder = claims_file.parent / "runs" / "claims"
    changed = content()
    changed["tables"]["small"]["rows"]["b"]["flags"]["network_name"] = "other"
    claims_file.write_text(yaml.safe_dump(changed, sort_keys=False))
    assert set(records.read(load_claims(claims_file), folder)) == {"small-a-0"}
    assert {own.verdict for own in page.kept_findings(folder, claims_file).values()} == {NOT_RUN}
    capsys.readouterr()
    assert run(claims_file) == 0
    assert "3 runs to do (3 of 6" in capsys.readouterr().err
    assert set(json.loads((folder / "records" / "small.json").read_text())) == {"small-a-0", "small-b-0"}


def test_a_cell_of_which_a_run_is_missing_is_not_kept(claims_file: Path) -> None:
    claims = load_claims(claims_file)
    first, *others = records.runs_of_claims(claims.values(), None, claims_file.parent)
    done = dataclasses.replace(first, state=DONE, result={})
    assert any(run.cell.id == first.cell.id for run in others)
    assert records.entries(claims, [done, *others]) == {}


def test_pilot_seeds_are_printed_and_not_kept(claims_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(claims_file, "--seeds", "100,101") == 0
    printed = capsys.readouterr().out
    assert "cannot give a p below 0.5" in printed and "**No verdict here; on all seeds: not run.**" in printed
    assert not (claims_file.parent / "runs" / "claims").exists()
    out = claims_file.parent / "pilots"
    assert run(claims_file, "--seeds", "100,101", "--out", str(out)) == 0
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "ieg-1.png", "ieg-2.png"]
    assert re.sub(r"!\[ieg-.\]\(ieg-.\.png\)\n\n?", "", (out / "README.md").read_text()).strip() == printed.strip()
    capsys.readouterr()
    assert run(claims_file, "--dry_run") == 0
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_a_demo_is_the_first_seeds_of_its_claims(claims_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = content()
    own["programs"]["ieg"]["seeds"] = [3, 4, 5, 6]
    own["claims"] = dict(zip(("fsr-1", "fsr-2"), own["claims"].values(), strict=True))
    claims_file.write_text(yaml.safe_dump(own, sort_keys=False))
    out = claims_file.parent / "out"
    words = ["demo", "--table=demo-fsr", f"--cells={claims_file}", f"--runs_dir={claims_file.parent / 'runs'}"]
    assert main([*words, f"--out={out}"]) == 0
    printed = capsys.readouterr()
    assert "6 runs to do" in printed.err and "fsr-1, fsr-2: seeds 3, 4, 5\n" in printed.out
    levels = [100 * accuracy("ieg", seed, 3) for seed in (3, 4, 5)]
    assert f" {mean(levels):.1f} ± {sample_std(levels):.1f} " in printed.out
    assert "cannot give a p below 0.25" in printed.out and "docs/claims/README.md" in printed.out
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "fsr-1.png", "fsr-2.png"]
    assert not list(claims_file.parent.rglob("records"))
    assert main([*words, f"--out={out}"]) == 0
    again = capsys.readouterr()
    assert again.out == printed.out and "runs to do" not in again.err
    assert run(claims_file) == 0
    assert "2 runs to do (6 of 8 already done" in capsys.readouterr().err


def test_runs_of_another_command_are_waited_for(
    claims_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(claims_file, "--seeds", "0,1") == 0
    monkeypatch.setattr(
        "reproduce.runs.is_running", lambda folder: "small-b" in str(folder) and "seed_1" in str(folder)
    )
    assert run(claims_file, "--seeds", "0,1", "--out", str(claims_file.parent / "out")) == 2
    error = capsys.readouterr().err
    assert re.search(r"not finished: small-b-0-\w{8} seed 1; where another command", error)
    assert not (claims_file.parent / "out").exists()


def test_demos_of_claims_as_they_are_shipped() -> None:
    claims, makefile = load_claims(), (ROOT / "Makefile").read_text(encoding="utf-8")
    for name, parts in CLAIMS_OF.items():
        cells = {cell.id: cell for part in parts for cell in claims[part].cells}.values()
        seconds = SEEDS_OF_A_DEMO * sum(cell.steps * cell.cost.cpu_step_seconds for cell in cells)
        assert seconds < 2 * 300, name  # five minutes of two cores
        (environment,) = {cell.environment for cell in cells}
        target = makefile.partition(f"\n{name}:")[2].partition("\n\n")[0]
        assert f" env-{environment} " in target and f"$({environment.upper()}) -m reproduce demo" in target


@pytest.mark.parametrize("command", [["claims"], ["demo", "--table=demo-fsr"]])
def test_images_are_made_before_any_run(
    claims_file: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    own = content()
    own["claims"] = dict(zip(("fsr-1", "fsr-2"), own["claims"].values(), strict=True))
    own["tables"]["small"]["prepare"] = ["python", "-c", "import sys; sys.exit('error: no room')", "{data_dir}/x"]
    claims_file.write_text(yaml.safe_dump(own, sort_keys=False))
    words = [*command, f"--cells={claims_file}", f"--runs_dir={claims_file.parent / 'runs'}", "--data_dir=/somewhere"]
    assert main([*words, "--dry_run"]) == 0
    images, *runs = capsys.readouterr().out.splitlines()
    assert images.endswith(" /somewhere/x") and len(runs) == 6
    assert main(words) == 2
    assert "the images were not made" in capsys.readouterr().err
    assert not list(claims_file.parent.glob("runs/*"))


def test_seeds_that_no_test_is_for_are_refused_before_they_run(
    claims_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(claims_file, "--seeds", "100") == 2
    assert "two seeds at least" in capsys.readouterr().err
    assert run(claims_file, "--seeds", ",".join(map(str, range(17)))) == 2
    assert "17 of them; the exact test of a claim is for 16 at most" in capsys.readouterr().err
    assert not list(claims_file.parent.rglob("result.json"))
    assert run(claims_file, "--seeds", "100", "--dry_run") == 0


def test_a_verdict_other_than_the_kept_one_is_told(
    claims_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "DOCS", claims_file.parent / "docs")
    assert run(claims_file, "--keep") == 0
    assert (claims_file.parent / "docs" / "README.md").is_file()
    assert run(claims_file) == 0
    kept = page.kept_findings(claims_file.parent / "docs", claims_file)
    kept["ieg-1"] = dataclasses.replace(kept["ieg-1"], verdict=SUPPORTED)
    monkeypatch.setattr("reproduce.claims.command.kept_findings", lambda **_: kept)
    capsys.readouterr()
    assert run(claims_file) == 1
    assert "ieg-1: not supported here, supported in " in capsys.readouterr().err
    assert run(claims_file, "--claim", "ieg-2") == 0


def test_claims_that_are_not_run_here_count_as_they_are_kept(
    claims_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "DOCS", claims_file.parent / "docs")
    own = content()
    own["claims"]["ieg-2"]["comparisons"] = [
        {"name": "alone", "measure": "last accuracy", "of": "small-b-0", "above": 0, "matters": 0}
    ]
    claims_file.write_text(yaml.safe_dump(own, sort_keys=False))
    assert run(claims_file, "--keep") == 0
    out = claims_file.parent / "elsewhere"
    assert run(claims_file, "--claim", "ieg-2", "--out", str(out)) == 0
    assert set(json.loads((out / "records" / "small.json").read_text())) == {"small-b-0"}
    assert NOT_RUN not in (out / "README.md").read_text()
    assert not (out / "ieg-1.png").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"comparisons": [CLAIM["comparisons"][0] | {"of": "small-c-0"}]}, "no such cell: small-c-0"),
        ({"comparisons": [CLAIM["comparisons"][0] | {"below": 1}]}, "above or below, one of them"),
        ({"comparisons": [CLAIM["comparisons"][0] | {"measure": "mean accuracy"}]}, "'mean accuracy' is no number"),
        ({"comparisons": [CLAIM["comparisons"][0] | {"unit": "miles"}]}, "miles"),
        ({"published": {"IEG": ["ieg", "nowhere"]}}, "nowhere"),
        ({"evidence": 1}, "evidence"),
    ],
)
def test_a_wrong_entry_is_named(
    claims_file: Path, change: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = content()
    changed["claims"]["ieg-1"] = CLAIM | change
    claims_file.write_text(yaml.safe_dump(changed, sort_keys=False))
    assert run(claims_file) == 2
    assert message in capsys.readouterr().err
    assert run(claims_file, "--claim", "ieg-9") == 2


def test_terms_of_a_measure() -> None:
    assert terms("best accuracy - last accuracy + 0.5") == [(1, "best accuracy"), (-1, "last accuracy"), (1, "0.5")]
    assert terms("seconds") == [(1, "seconds")]
    for wrong in ("", "accuracy", "last", "seconds accuracy", "last accuracy * 2 - x"):
        with pytest.raises(UsageError):
            terms(wrong)
