"""A texture of every photograph of a tree: two 96×96 patches, one from the centre and one at random, made into 224×224.

The tree of textures mirrors that of the photographs: `<root>-texture/train/<class>/<name>.png` is the texture of
`<root>/train/<class>/<name>.JPEG`. An interrupted run resumes where it was.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.errors import Interrupted, UsageError, WorkFailed
from common.flags import flag
from common.stopping import stop_signals
from common.storage.data_folders import files_below, say_left_out
from common.storage.files import atomic_write
from common.storage.locks import locked
from common.storage.text_files import name_in
from preprocess import program
from preprocess.imagenet100 import ENDINGS
from preprocess.progress import progress_bar
from preprocess.texture_image import PHOTOGRAPH, TEXTURE, Recipe, texture_of, try_texture
from preprocess.worker_pool import results

EXTERNAL = "texture-synthesis"
SETTINGS, LOCK = "textures.json", ".textures.lock"
# The authors' program leaves the two patches beside the texture; training passes over them, and so does the count.
LEFT_OVER = ("texture1_", "texture2_")
NAMED = 10


@dataclass(frozen=True)
class Flags:
    """The command line."""

    imagenet_path: str = flag("", "the photographs: a tree of .JPEG files, e.g. with train/ and val/", group="trees")
    imagenet_t_path: str = flag("", "folder to write the textures to [<imagenet_path>-texture]", group="trees")
    tool: str = flag(
        "auto",
        "builtin (image quilting), or the program texture-synthesis, by name or path; auto: that program where it is "
        "installed, else builtin",
        group="textures",
    )
    seed: int = flag(0, "random seed; with the file name it decides patch and synthesis", group="textures")
    jobs: int = flag(0, "processes; 0: one per core", group="work")
    skip_unreadable: bool = flag(False, "count photographs that cannot be read instead of failing", group="work")


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 photographs without a texture, 2 a mistake in flags or trees, 130 stopped."""
    flags = program.parse(Flags, argv, "imagenet_texture_syn", __doc__ or "")
    return program.guarded(lambda: make_textures(flags), "--imagenet_t_path")


def make_textures(flags: Flags) -> None:
    """Makes what is missing, then counts. Raises: UsageError before, WorkFailed after, Interrupted in between."""
    program.refuse_absent(imagenet_path=flags.imagenet_path)
    program.refuse_seed(flags.seed)
    source = Path(flags.imagenet_path).absolute()
    target = Path(flags.imagenet_t_path or f"{source}-texture").absolute()
    _refuse_paths(source, target)
    recipe = Recipe(flags.seed, find_tool(flags.tool))
    jobs = program.jobs_of(flags.jobs)
    names = photographs(source)
    target.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        _same_settings(target, flags.seed, "builtin" if recipe.tool == "builtin" else EXTERNAL)
        for leftover in target.rglob(".*.tmp"):
            leftover.unlink()
        to_do = [name for name in names if not texture_of(target, name).exists()]
        print(f"{len(names):,} photographs, {len(names) - len(to_do):,} have a texture; tool: {recipe.tool}")
        unreadable = _work_through(source, target, to_do, len(names), recipe, jobs)
        _count_check(target, names, unreadable, flags.skip_unreadable)
    if name := name_in(source):
        atomic_write(target / "NAME", f"{name}_texture\n")


def find_tool(asked: str) -> str:
    """What makes textures: "builtin" or a program's path. Raises: UsageError for a program that is not installed."""
    if asked == "builtin":
        return asked
    found = shutil.which(EXTERNAL if asked == "auto" else asked)
    if found is None and asked != "auto":
        raise UsageError(
            f"--tool {asked}: there is no such program; install EmbarkStudios' {EXTERNAL} (cargo install "
            f"{EXTERNAL}-cli), give its path, or use --tool builtin"
        )
    return found or "builtin"


def photographs(source: Path) -> list[str]:
    """Paths of the .JPEG files below `source`, relative to it, sorted; links are followed.

    Raises: UsageError without any, and for images with another ending: their textures would have no partner.
    """
    left_out: list[str] = []
    files = [path.relative_to(source).as_posix() for path in files_below(source, ENDINGS, left_out)]
    say_left_out(source, left_out)
    names = [file for file in files if file.endswith(PHOTOGRAPH)]
    others = [file for file in files if not file.endswith(PHOTOGRAPH)]
    if others:
        raise UsageError(
            f"{source} holds {len(others)} images whose names do not end in {PHOTOGRAPH}, e.g. {min(others)}; training "
            f"pairs <name>{PHOTOGRAPH} with <name>{TEXTURE}, so rename them"
        )
    if not names:
        raise UsageError(f"{source} holds no {PHOTOGRAPH} file; name the folder with train/ in it")
    return sorted(names)


def _refuse_paths(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise UsageError(f"--imagenet_path {source}: there is no such folder")
    if source == target or source in target.parents or target in source.parents:
        raise UsageError(f"--imagenet_t_path {target} and {source} lie in one another; choose a folder beside it")
    if target.name != f"{source.name}-texture":
        print(
            f"warning: training takes '-texture' off the name of the texture tree to find the photographs; "
            f"{target.name} is not {source.name}-texture",
            file=sys.stderr,
        )


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """No second program works on the tree meanwhile. Raises: UsageError."""

    def refuse() -> None:
        raise UsageError(f"another program is making textures in {target}; wait for it, or stop it")

    with locked(target / LOCK, refuse):
        yield


def _same_settings(target: Path, seed: int, tool: str) -> None:
    """A tree is made with one seed and one tool. Raises: UsageError naming those that it was begun with."""
    path, settings = target / SETTINGS, {"seed": seed, "tool": tool}
    if path.exists():
        there = program.settings_in(path)
        if there != settings:
            raise UsageError(
                f"{target} was begun with {_shown(there)}, not {_shown(settings)}; give the same, or choose another "
                "--imagenet_t_path"
            )
        return
    atomic_write(path, json.dumps(settings, sort_keys=True) + "\n")


def _shown(settings: dict) -> str:
    return " ".join(f"--{name} {value}" for name, value in settings.items())


def _work_through(source: Path, target: Path, to_do: list[str], total: int, recipe: Recipe, jobs: int) -> list[str]:
    unreadable, ended = [], 0
    with stop_signals() as stopped, progress_bar(total, "textures", total - len(to_do)) as bar:
        for wrong in results(
            partial(try_texture, source, target, recipe), to_do, min(jobs, max(1, len(to_do))), stopped
        ):
            ended += 1
            bar.update(1)
            if wrong:
                unreadable.append(wrong)
                bar.write(f"cannot be read: {wrong}", file=sys.stderr)
    if ended < len(to_do):
        raise Interrupted(f"stopped with {total - len(to_do) + ended:,} of {total:,}; run the same command to resume")
    return unreadable


def _count_check(target: Path, names: list[str], unreadable: list[str], skip_unreadable: bool) -> None:
    """Raises: WorkFailed where photographs and textures are not one for one."""
    left_out: list[str] = []
    files = [path for path in files_below(target, (TEXTURE,), left_out) if not path.name.startswith(LEFT_OVER)]
    say_left_out(target, left_out)
    there = {path.relative_to(target).as_posix() for path in files}
    partners = {name.removesuffix(PHOTOGRAPH) + TEXTURE for name in names}
    print(f"{target}: {len(there & partners):,} textures of {len(names):,} photographs")
    if len(partners - there) != len(unreadable):
        raise WorkFailed(f"{len(partners - there)} textures are missing, e.g. {min(partners - there)}; start again")
    if there - partners:
        raise WorkFailed(
            f"{len(there - partners)} textures in {target} have no photograph, e.g. {min(there - partners)}; "
            "move them away: training would stop at them"
        )
    if unreadable and not skip_unreadable:
        raise WorkFailed(
            f"{len(unreadable)} photographs cannot be read and have no texture: {', '.join(sorted(unreadable)[:NAMED])}"
            f"{', …' if len(unreadable) > NAMED else ''}; replace them and start again, or skip them with "
            "--skip_unreadable"
        )


if __name__ == "__main__":
    sys.exit(main())
