"""The commit in a record: of this code, whoever owns the checkout and whatever git's variables say."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from common.records import provenance

NULL = {"commit": None, "dirty": None}


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A repository with one commit, which is taken for the one of the code."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    words = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@a"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run([*words, *arguments], check=True, env=clean)
    monkeypatch.setattr(provenance, "ROOT", str(folder))
    return folder


def test_the_commit_and_whether_files_were_changed(checkout, caplog):
    state = provenance.git_state()
    assert len(state["commit"]) == 40 and state["dirty"] is False
    (checkout / "ü").write_text("")
    assert provenance.git_state() == {"commit": state["commit"], "dirty": True}
    assert caplog.messages == []


def test_variables_of_another_repository_are_not_followed(checkout, tmp_path, monkeypatch):
    state = provenance.git_state()
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CEILING_DIRECTORIES", "GIT_CONFIG_PARAMETERS"):
        monkeypatch.setenv(name, str(tmp_path / "other"))
    assert provenance.git_state() == state


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_checkout_of_another_user_has_its_commit(checkout, caplog):
    state = provenance.git_state()
    for path in [checkout, *checkout.rglob("*")]:
        os.chown(path, 12345, 12345)
    refused = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True)
    assert "dubious ownership" in refused.stderr
    assert provenance.git_state() == state
    assert caplog.messages == []


def test_outside_a_repository_there_is_no_commit_and_nothing_to_say(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(provenance, "ROOT", str(tmp_path))
    assert provenance.git_state() == NULL
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo \"fatal: detected dubious ownership in repository at '/x'\" >&2; echo more >&2; exit 128", "dubious"),
        ("exit 1", "it gives no reason"),
        (None, r"git cannot be started \(No such file or directory\)"),
    ],
)
def test_git_that_does_not_tell_is_a_warning(checkout, tmp_path, monkeypatch, caplog, script, said):
    programs = tmp_path / "programs"
    programs.mkdir()
    if script:
        (programs / "git").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    assert provenance.git_state() == NULL
    (line,) = caplog.messages
    assert re.search(f"^the record names no commit of {checkout}: .*{said}", line)
    assert "more" not in line
