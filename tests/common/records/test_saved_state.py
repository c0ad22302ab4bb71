"""Whose a checkpoint is: another run's is refused, a damaged one passed over, an old one taken with a warning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from common.records.saved_state import MARK, Owner, newest_state, outdated

OWNER = Owner.of("ieg", {"seed": 3, "lr": 0.1}, 3, "data-one")


def write(folder: Path, step: int, owner: Owner | None = OWNER, marked: int | None = None) -> Path:
    path = folder / f"state_{step}"
    mark = {MARK: owner.mark(step if marked is None else marked)} if owner else {}
    path.write_text(json.dumps({"weights": step, **mark}))
    return path


def newest(folder: Path, owner: Owner | None = OWNER) -> Any:
    files = {int(path.name.partition("_")[2]): path for path in folder.iterdir()}

    def read(path: Path) -> Any:
        try:
            return json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path} cannot be read: {error}") from error

    found = newest_state(files, read, lambda content: content.get(MARK), owner)
    return found and (found[0].name, found[1]["weights"])


def test_the_newest_of_the_run_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert newest(tmp_path) is None
    write(tmp_path, 5)
    write(tmp_path, 10)
    assert newest(tmp_path) == ("state_10", 10)
    assert not caplog.records


@pytest.mark.parametrize(
    ("owner", "marked", "words"),
    [
        (Owner.of("ieg", {"seed": 4, "lr": 0.1}, 4, "data-one"), 10, ["another run", "-seed4", "-seed3", "move"]),
        (Owner.of("ieg", {"seed": 3, "lr": 0.2}, 3, "data-one"), 10, ["another run", "move that file away"]),
        (Owner.of("ieg", {"seed": 3, "lr": 0.1}, 3, "data-two"), 10, ["other data", "data-two", "data-one", "bring"]),
        (OWNER, 5, ["step 5", "its name says 10", "give it its own name again"]),
    ],
    ids=["another seed", "another setting", "other data", "renamed"],
)
def test_what_is_not_the_runs_is_refused(tmp_path: Path, owner: Owner, marked: int, words: list[str]) -> None:
    """Even where one of its own is there: who put it there has to know."""
    write(tmp_path, 5)
    path = write(tmp_path, 10, owner, marked)
    with pytest.raises(UsageError) as caught:
        newest(tmp_path)
    assert all(word in str(caught.value) for word in [str(path), *words])
    assert "\n" not in str(caught.value)
    assert newest(tmp_path, None) == ("state_10", 10)  # whoever only looks


def test_where_the_data_may_be_any_they_are_not_compared(tmp_path: Path) -> None:
    write(tmp_path, 10)
    assert newest(tmp_path, Owner(OWNER.run_id, OWNER.config_hash)) == ("state_10", 10)


def test_one_of_an_earlier_version_is_taken_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, 10, None)
    assert newest(tmp_path) == ("state_10", 10)
    (record,) = caplog.records
    assert str(path) in record.getMessage() and "earlier versions" in record.getMessage()


@pytest.mark.parametrize("mark", ["{", '{"run": 7}', '{"run": {"step": 10}}', '{"run": []}'])
def test_a_damaged_one_gives_way_to_the_one_before(tmp_path: Path, mark: str, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, 5)
    (tmp_path / "state_10").write_text(mark)
    assert newest(tmp_path) == ("state_5", 5)
    assert "state_10" in caplog.text and "the one before" in caplog.text
    (tmp_path / "state_5").write_text(mark)
    with pytest.raises(UsageError, match=r"no checkpoint in .* can be read; move the folder away"):
        newest(tmp_path)


def test_a_mark_is_the_same_for_the_same_run_and_goes_to_json() -> None:
    again = Owner.of("ieg", {"lr": 0.1, "seed": 3}, 3, "data-one").mark(7)
    assert again == OWNER.mark(7) == json.loads(json.dumps(again))
    assert again != OWNER.mark(8)


def test_what_was_just_written_is_never_removed() -> None:
    """Even where later ones lie there, which a run that went back to an earlier step has left behind."""
    files = {step: Path(str(step)) for step in (10, 20, 30, 998, 999)}
    assert outdated(files, 30, 2) == [Path("10")]
    assert outdated(files, 10, 2) == []
