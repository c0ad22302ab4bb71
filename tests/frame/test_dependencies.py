"""What an environment is made of is used by the code."""

from __future__ import annotations

import re

import pytest

from tests.frame.test_make import ROOT

MODULES = {
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "tensorflow-datasets": "tensorflow_datasets",
    "tensorboard": "torch.utils.tensorboard",
}
TOOLS = {"pytest", "pytest-timeout", "pytest-xdist", "ruff", "mypy"}
PINS = {"tensorflow-metadata", "setuptools"}  # of what other packages need, as their lines say
LEFT_OVER = {"tensorflow-addons", "filelock"}  # imported nowhere; they can go when the lock is next written


@pytest.mark.parametrize("environment", ["tensorflow", "pytorch"])
def test_every_direct_dependency_is_imported_somewhere(environment: str) -> None:
    lines = (ROOT / "environments" / f"{environment}.in").read_text().splitlines()
    names = {re.split(r"[^A-Za-z0-9-]", line)[0] for line in lines if re.match(r"[A-Za-z]", line)}
    packages = [init.parent for init in ROOT.glob("*/__init__.py") if init.parent.name != "tests"]
    code = "\n".join(path.read_text() for package in packages for path in package.rglob("*.py"))
    unused = {
        name
        for name in names - TOOLS - PINS - LEFT_OVER
        if not name.startswith("types-")
        and not re.search(rf"^\s*(import|from) {re.escape(MODULES.get(name, name))}\b", code, re.MULTILINE)
    }
    assert unused == set()
