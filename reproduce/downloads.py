"""What data sets the cells need, which of them are not here, and how much there is to fetch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from data.disk import human
from data.registry import load_registry
from data.store import Store

# Made from others by preprocess/, which fetches nothing.
MADE_FROM = {
    "imagenet100": "imagenet",
    "imagenet100-texture": "imagenet",
    "imagenet100-c": "imagenet-c",
    "imagenet100-sketch": "imagenet-sketch",
    "imagenet100-stylized": "stylized-imagenet",
    "imagenet100-r": "imagenet-r",
}


def to_fetch(needed: Iterable[str], data_dir: Path) -> str:
    """The data sets that are not here, with their sizes: `cifar10 170 MB, imagenet 155 GB (by hand)`."""
    registry, store = load_registry(), Store(data_dir)
    sources = dict.fromkeys(MADE_FROM.get(name, name) for name in needed)
    entries = [registry[name] for name in sources if name in registry]
    absent = [entry for entry in entries if not store.state(entry).startswith(("here", "embedded"))]
    parts = [
        f"{entry.name} {human(entry.size) if entry.size else 'of unknown size'}"
        + (" (by hand)" if entry.how == "by-hand" else "")
        for entry in absent
    ]
    total = human(sum(entry.size or 0 for entry in absent))
    more = "" if all(entry.size for entry in absent) else " and more"
    return f"{total}{more}: {', '.join(parts)}" if parts else "nothing"
