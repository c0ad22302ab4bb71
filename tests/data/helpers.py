"""Archives and registries that the tests make for themselves."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from data.registry import Entry, load_registry

ROOT = Path(__file__).resolve().parents[2]


def tar_bytes(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def zip_bytes(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def published(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def members_of(files: dict[str, bytes]) -> dict[str, dict[str, str]]:
    return {name: {"md5": hashlib.md5(content).hexdigest()} for name, content in files.items()}


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def write_registry(folder: Path, *entries: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = ""
    for entry in entries:
        defaults = {
            "title": "a test",
            "how": "fetch",
            "folder": entry["name"],
            "homepage": "http://x.test",
            "citation": "-",
        }
        fields = {**defaults, **entry}
        text += "[[dataset]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in fields.items()) + "\n"
    (folder / "test.toml").write_text(text, encoding="utf-8")
    return folder


def one_entry(folder: Path, archive: dict[str, Any] | list[dict[str, Any]], **fields: Any) -> Entry:
    archives = archive if isinstance(archive, list) else [archive]
    written = write_registry(folder, {"name": "toy", **fields, "archive": archives})
    return load_registry(written)["toy"]


def start_cli(*arguments: object, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "data", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run_cli(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    process = start_cli(*arguments, **environment)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
