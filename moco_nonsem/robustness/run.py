"""Scores a linear classifier on the columns of the published table."""

from __future__ import annotations

import logging
from collections.abc import Sized
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import Interrupted
from common.paths import user_path
from common.pytorch.process_group import Group
from common.records.config_text import format_config
from common.records.record_files import CONFIG, METRICS, RESULT, finished_result
from common.results.tables import csv_text, markdown_table
from common.stopping import stop_signals
from common.storage.files import atomic_write, check_places, check_writable
from data.imagenet100 import WNIDS
from data.imagenet_c import CORRUPTIONS, SEVERITIES
from moco_nonsem.images.image_tree import ImageTree, read_tree, readable_images
from moco_nonsem.images.labelled_images import Look
from moco_nonsem.linear_probe.network import LinearNetwork
from moco_nonsem.linear_probe.trainer import load_for_scoring
from moco_nonsem.robustness.config import COLUMNS, given
from moco_nonsem.robustness.corruptions import corruption_folders, mean_over_corruptions
from moco_nonsem.robustness.score import Score, relabelled, score
from moco_nonsem.robustness.shape_bias import cue_metrics, texture_numbers, textures_of
from moco_nonsem.running import checkpoint
from moco_nonsem.running.flags import PLACES, RobustnessFlags
from moco_nonsem.running.run_folder import new_folder
from moco_nonsem.running.run_record import make_record, reading

OUTPUTS = ("robustness.md", "corruptions.csv")
COUNTS = {"trained": "over the trained classes", "all_logits": "over all 1,000", "present": "over the classes present"}


class Evaluation:
    """The scores of one network, set by set."""

    def __init__(self, flags: RobustnessFlags, group: Group) -> None:
        self.flags, self.group, self.folders = flags, group, given(flags)
        content = group.leader_does(lambda: checkpoint.read_given("", flags.checkpoint, "state_dict"))
        self.network = LinearNetwork(flags.arch, flags.seed)
        load_for_scoring(self.network, content, flags.checkpoint)
        self.network.to(group.device)
        # The authors' files do not say it: theirs are of ImageNet-100.
        self.classes = tuple(content.get("classes", WNIDS))
        self.described: dict[str, dict[str, str]] = {}
        self.reading = reading(flags, group)

    def score(self, name: str, folder: Path, stopped: Sized, resize: bool = True) -> tuple[Score, ImageTree]:
        """One folder of classes. Raises: Interrupted where the user has stopped the program."""
        flags = self.flags
        tree, self.described[name] = self.group.leader_does(
            lambda: readable_images(self.known(folder), folder.parent, name, flags.skip_unreadable)
        )
        look = Look(flags.image_size, resize=resize)
        found = score(self.network, tree, self.classes, look, self.reading, self.group, stopped)
        if found.left_out:
            logging.info("%s: %d folders are not classes of this classifier and are left out", folder, found.left_out)
        return found, tree

    def known(self, folder: Path) -> ImageTree:
        """The images of classes that the network was trained on; of the others, which may be most, none is opened.

        Raises: UsageError where there are none.
        """
        tree = read_tree(folder)
        relabelled(tree, self.classes)  # refuses a tree without any of them
        return tree.without(~np.isin(tree.classes, self.classes)[tree.labels])

    def columns(self, stopped: Sized) -> dict[str, Score]:
        """The sets with one folder a class."""
        return {name: self.score(name, self.folders[name], stopped)[0] for name in COLUMNS if name in self.folders}

    def corruptions(self, stopped: Sized) -> dict[tuple[str, int], Score]:
        """ImageNet-C, each corruption and severity."""
        if "imagenet_c" not in self.folders:
            return {}
        scores = {}
        for (name, level), folder in corruption_folders(self.folders["imagenet_c"]).items():
            scores[name, level] = self.score(f"{name}-{level}", folder, stopped, resize=self.flags.c_resize)[0]
            logging.info("%s %d: %.4f", name, level, scores[name, level].trained)
        return scores

    def cues(self, stopped: Sized) -> dict[str, float]:
        """Images with a shape and a texture."""
        if "cue_conflict" not in self.folders:
            return {}
        found, tree = self.score("cue-conflict", self.folders["cue_conflict"], stopped)
        known, _ = relabelled(tree, self.classes)
        agreeing = relabelled(read_tree(self.folders["val"]), self.classes)[0] if "val" in self.folders else None
        textures = textures_of(known, texture_numbers(self.classes, agreeing))
        return cue_metrics(found.decisions, known.labels, textures)


def work(flags: RobustnessFlags, group: Group, command: list[str]) -> int:
    """What one process of the group does. Returns the exit code."""
    evaluation = Evaluation(flags, group)
    group.leader_does(lambda: _check_sets(flags, evaluation.folders))
    config = {
        "program": "eval_robustness",
        "arch": flags.arch,
        "image_size": flags.image_size,
        "c_resize": flags.c_resize,
        "seed": flags.seed,
        "sets": sorted(evaluation.folders),
        "classes": len(evaluation.classes),
        "checkpoint_sha256": checkpoint.fingerprint(flags.checkpoint),
    }
    group.check_same(config)
    if flags.check:
        if group.leads:
            print(format_config(config), end="")
        return 0
    group.leader_does(lambda: _check_place(flags, config))
    with stop_signals() as stopped:
        try:
            columns, corrupted = evaluation.columns(stopped), evaluation.corruptions(stopped)
            cues = evaluation.cues(stopped)
        except Interrupted:
            raise Interrupted(
                f"stopped while {list(evaluation.described)[-1]} was scored: no result was written; the same command "
                "starts from the first set"
            ) from None
    if group.leads:
        _write(flags, evaluation, config, columns, corrupted, cues, command)
    return 0


def _check_sets(flags: RobustnessFlags, folders: dict[str, Path]) -> None:
    """Before anything is scored: what is missing is named, with --check also what cannot be read.

    Raises: UsageError.
    """
    trees = [folder for name, folder in folders.items() if name != "imagenet_c"]
    if "imagenet_c" in folders:
        trees += corruption_folders(folders["imagenet_c"]).values()
    for folder in trees:
        tree = read_tree(folder)
        if flags.check:
            readable_images(tree, folder, "", flags.skip_unreadable)


def _check_place(flags: RobustnessFlags, config: dict[str, Any]) -> None:
    """Before anything is scored. Raises: RecordError where --run_dir holds another run, or folders for files."""
    if flags.run_dir:
        folder = user_path(flags.run_dir).absolute()
        check_places(folder, (CONFIG, METRICS, RESULT, *OUTPUTS))
        finished_result(folder, config)
    check_writable(user_path(flags.run_dir).absolute() if flags.run_dir else new_folder("robustness"), PLACES)


def metrics_of(
    columns: dict[str, Score], corrupted: dict[tuple[str, int], Score], cues: dict[str, float]
) -> dict[str, float]:
    """Every number by name; of the three ways of counting the first has the plain name, as in the published table."""
    metrics = dict(cues)
    for count in COUNTS:
        suffix = "" if count == "trained" else f"/{count}"
        for name, found in columns.items():
            metrics[("in100" if name == "val" else name) + suffix] = getattr(found, count)
        if corrupted:
            metrics["c" + suffix] = mean_over_corruptions({key: getattr(of, count) for key, of in corrupted.items()})
    return metrics


def column_table(metrics: dict[str, float], columns: dict[str, Score]) -> str:
    """The published table's columns in percent, one row a way of counting; below, what was scored."""
    names = {"in100": "ImageNet-100", "c": "-C", "sketch": "Sketch", "stylized": "Stylized", "rendition": "Rendition"}
    shown = {key: title for key, title in names.items() if key in metrics}
    rows = [
        [COUNTS[count], *(f"{100 * metrics[key + ('' if count == 'trained' else f'/{count}')]:.2f}" for key in shown)]
        for count in COUNTS
    ]
    table = markdown_table(["arg-max", *shown.values()], rows) if shown else ""
    lines = [f"{COLUMNS[name]}: {of.images} images of {of.classes} classes" for name, of in columns.items()]
    return table + "".join(f"\n{line}" for line in lines) + ("\n" if lines else "")


def corruption_rows(corrupted: dict[tuple[str, int], Score]) -> list[list[Any]]:
    """Corruption, accuracy at each severity, their mean."""
    rows = []
    for name in CORRUPTIONS:
        values = [corrupted[name, level].trained for level in SEVERITIES]
        rows.append([name, *values, sum(values) / len(values)])
    return rows


def _write(
    flags: RobustnessFlags,
    evaluation: Evaluation,
    config: dict[str, Any],
    columns: dict[str, Score],
    corrupted: dict[tuple[str, int], Score],
    cues: dict[str, float],
    command: list[str],
) -> None:
    folder = user_path(flags.run_dir).absolute() if flags.run_dir else new_folder("robustness")
    metrics = metrics_of(columns, corrupted, cues)
    first = evaluation.described[next(iter(evaluation.described))]
    record = make_record(folder, config, flags, first, evaluation.group, command)
    record.begin()
    record.log(0, 0, metrics)
    text = column_table(metrics, columns)
    if corrupted:
        header = ["corruption", *(f"severity {level}" for level in SEVERITIES), "mean"]
        rows = corruption_rows(corrupted)
        shown = [[row[0], *(f"{100 * value:.2f}" for value in row[1:])] for row in rows]
        text += "\n" + markdown_table(header, shown)
        atomic_write(folder / "corruptions.csv", csv_text(header, rows))
    if cues:
        text += "\n" + markdown_table(
            ["shape and texture", "percent"], [[k, f"{100 * v:.2f}"] for k, v in cues.items()]
        )
    atomic_write(folder / "robustness.md", text)
    counted = {
        name: {"images": of.images, "classes": of.classes, "left_out": of.left_out} for name, of in columns.items()
    }
    record.finish(metrics, 0, {}, {"checkpoint": Path(flags.checkpoint).name, "scored": counted})
    print(text, end="")
    logging.info("written to %s", folder)
