"""Build .venv/<name> from its lock: `python environments/build.py tensorflow|pytorch`. Standard library only.

The environment is built where it will stay, because the programs in a virtual environment carry its path in their first
line and would break when renamed. What makes it whole is the stamp, written last: a folder without it, or with another
lock's hash in it, is removed and built again. So a second `make` costs nothing and a broken build never gets used.

This file keeps to the syntax of Python 3.6, so that a Python that is too old can still say so.
"""

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional

from pip_progress import Progress, count_installed, doing, text_from

ROOT = Path(__file__).resolve().parent.parent
STAMP = "lock.sha256"  # common/records/provenance.py reads it: every result names the lock it was made with
DISK_NEEDED = {"tensorflow-cpu": 3.5, "tensorflow-gpu": 9.0, "pytorch": 9.0}  # gigabytes, wheels in passing included
# pip compiles what it installs: TensorFlow's import takes three times as long where that was left out and
# PYTHONDONTWRITEBYTECODE is set, as in many containers, or where the environment cannot be written to.
PIP = ["-m", "pip", "install", "--require-hashes", "--no-deps", "--progress-bar=off", "--no-input"]
# With these pip installs elsewhere, less, or nothing, because another folder has a package already.
ELSEWHERE = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_CONSTRAINT", "PIP_DRY_RUN")
CAUSES = (  # what pip's log says, and what that means for the user
    (
        r"No space left on device",
        "the disk filled up while {lock} was installed: free about {gigabytes:g} GB and run the same command again",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "a downloaded package is not the one that {lock} names: empty pip's cache (python -m pip cache purge) and run"
        " the same command again; if it stays, the package index serves something else",
    ),
    (
        r"NewConnectionError|NameResolutionError|Temporary failure in name resolution|ConnectTimeout|Max retries|"
        r"ProxyError|Read timed out|Network is unreachable|No matching distribution found|ConnectionResetError",
        "no network: pip could not fetch what {lock} names. Connect, or let PIP_INDEX_URL or PIP_FIND_LINKS point at a"
        " mirror or a folder of wheels, and run the same command again",
    ),
)


class BuildError(Exception):
    """The environment cannot be built; the message says why and what to do."""


def check_python(version: Any = None) -> None:
    """Refuse every Python but 3.11."""
    version = version or sys.version_info
    if tuple(version[:2]) != (3, 11):
        raise BuildError(
            f"this is Python {version[0]}.{version[1]} ({sys.executable}); TensorFlow 2.15 and the locks need Python"
            " 3.11. 'uv python install 3.11' or 'conda create -n py311 python=3.11' brings it; make finds uv's by"
            " itself, any other by make PYTHON=/path/to/python3.11 …"
        )


def check_venv() -> None:
    """Some distributions ship Python without the modules that make environments."""
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise BuildError(
                f"this Python ({sys.executable}) has no module '{module}'; install it (on Debian and Ubuntu: apt"
                " install python3.11-venv) and run make again"
            )


def check_disk(folder: Path, gigabytes: float) -> None:
    """An installation that runs out of disk half-way helps nobody."""
    free = shutil.disk_usage(str(folder)).free / 1e9
    if free < gigabytes:
        raise BuildError(
            f"not enough disk: {folder} has {free:.1f} GB free and the environment needs about {gigabytes:g} GB;"
            " free some and run make again"
        )


def has_gpu() -> bool:
    """Whether an NVIDIA GPU answers on this machine."""
    if not os.path.exists("/dev/nvidia0") and not shutil.which("nvidia-smi"):
        return False
    with contextlib.suppress(OSError):
        listed = subprocess.run(["nvidia-smi", "-L"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        return listed.returncode == 0 and b"GPU" in listed.stdout
    return os.path.exists("/dev/nvidia0")


def lock_names(name: str) -> List[str]:
    """The lock an environment is built from on this machine, and others that serve here as well.

    GPU=1 or GPU=0 in the environment says what has_gpu would: the machine that builds need not be the one that trains.
    """
    if name != "tensorflow":
        return [name]
    asked = os.environ.get("GPU")
    if asked == "1" or (asked != "0" and has_gpu()):
        return ["tensorflow-gpu"]
    # It computes on a CPU too: the first node of a cluster without a GPU must not undo what the others work with.
    return ["tensorflow-cpu", "tensorflow-gpu"] if asked is None else ["tensorflow-cpu"]


def is_built(folder: Path, digests: List[str]) -> bool:
    """Whether the environment is whole, of one of these locks, and its Python still starts."""
    try:
        if (folder / STAMP).read_text().strip() not in digests:
            return False
        return subprocess.run([str(folder / "bin" / "python"), "-c", ""], check=False).returncode == 0
    except OSError:
        return False


def build(name: str, home: Path) -> None:
    """Build one environment under `home` unless it is there already."""
    locks = [ROOT / "environments" / (stem + ".txt") for stem in lock_names(name)]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in locks]
    folder, log, lock = home / name, home / (name + ".log"), locks[0]
    if is_built(folder, digests):
        return  # several checkouts or users may share one that they cannot write to
    home.mkdir(parents=True, exist_ok=True)
    check_places(folder, log, home / (name + ".building"))
    with one_at_a_time(home / (name + ".building")) as lock_file:
        if is_built(folder, digests):
            return
        gigabytes, earlier, scratch = DISK_NEEDED[lock.stem], home / (name + ".earlier"), home / (name + ".tmp")
        if not (folder / STAMP).exists():
            remove(folder)
        check_disk(home, gigabytes)
        packages = len(re.findall(r"^[^\s#]+==", lock.read_text(), re.MULTILINE))
        print(f"building {folder} from {lock.name} ({packages} packages, some minutes); log: {log}", flush=True)
        progress = Progress(name)
        try:
            if folder.exists():  # of another lock: kept until the new one stands, for others may work with it
                remove(earlier)
                os.replace(str(folder), str(earlier))
            with open(str(log), "w") as file:
                python = str(folder / "bin" / "python")
                scratch.mkdir(exist_ok=True)
                # Not sys.executable, which may lie in the environment that was put aside.
                venv = [getattr(sys, "_base_executable", sys.executable), "-m", "venv", str(folder)]
                run(venv, file, progress, lambda: "making an empty one", lock_file)
                bootstrap = [python, *PIP, "-r", str(lock.parent / "bootstrap.txt")]
                run(bootstrap, file, progress, lambda: "fetching pip and setuptools", lock_file, scratch)
                before, start = count_installed(folder), log.stat().st_size
                run(
                    [python, *PIP, "--no-build-isolation", "-r", str(lock)],
                    file,
                    progress,
                    lambda: doing(text_from(log, start), packages, count_installed(folder) - before),
                    lock_file,
                    scratch,
                )
            if count_installed(folder) < packages:
                raise BuildError(
                    "pip says that it is done, but {} has {} of {} packages: look into pip's configuration (pip config"
                    " list) and its log, {}".format(folder, count_installed(folder), packages, log)
                )
            (folder / (STAMP + ".tmp")).write_text(digests[0] + "\n")
            os.replace(str(folder / (STAMP + ".tmp")), str(folder / STAMP))
            remove(earlier)
        except BaseException as error:
            remove(folder)
            if earlier.exists():
                os.replace(str(earlier), str(folder))
            if isinstance(error, (subprocess.CalledProcessError, OSError)):
                raise BuildError(explain(error, log, lock.name, gigabytes)) from error
            raise
        finally:
            progress.end()
            shutil.rmtree(str(scratch), ignore_errors=True)
        print(f"built {folder} in {progress.seconds():.0f} s", flush=True)


def run(
    command: List[str],
    log: Any,
    progress: Progress,
    what: Callable[[], str],
    lock_file: Any,
    scratch: Optional[Path] = None,
) -> None:
    """Run one step with its output in the log, and let `progress` say every now and then what it is at.

    The step holds the lock too: where this process is killed, pip works on, and the next `make` waits for its end.
    scratch: for its temporary files, on the disk whose room was looked at.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    environment["PIP_USER"] = "0"
    if scratch is not None:
        environment["TMPDIR"] = str(scratch.resolve())
    process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, pass_fds=[lock_file.fileno()], env=environment
    )
    try:
        while True:
            try:
                code = process.wait(timeout=progress.period)
                break
            except subprocess.TimeoutExpired:
                progress.say(what())
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if code != 0:
        raise subprocess.CalledProcessError(code, command)


def explain(error: BaseException, log: Path, lock: str, gigabytes: float) -> str:
    """One sentence for the user out of pip's log."""
    text = str(error) + "\n" + (log.read_text(errors="replace") if log.exists() else "")
    for pattern, sentence in CAUSES:
        if re.search(pattern, text):
            return sentence.format(lock=lock, gigabytes=gigabytes) + f" (pip's log: {log})"
    last = [line for line in text.splitlines() if line.strip()][-1]
    return f"{lock} could not be installed: {last.strip()} (the whole log: {log})"


def check_places(folder: Path, *files: Path) -> None:
    """A file where the environment goes, or a folder where a file goes, is somebody's: it is not removed."""
    for path, wanted in [(folder, "folder")] + [(file, "file") for file in files]:
        if path.is_symlink() or (path.exists() and path.is_dir() != (wanted == "folder")):
            raise BuildError(f"{path} is no {wanted} of this program's: move it away, or name another with --home")


def remove(folder: Path) -> None:
    """Remove an environment; the stamp goes first, so that one which is half removed counts as none."""
    with contextlib.suppress(OSError):
        (folder / STAMP).unlink()
    if folder.exists():
        shutil.rmtree(str(folder))


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[Any]:
    """Two `make` at once: the second waits and then finds the work done. Yields the file that is locked."""
    with open(str(path), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process is building {path.stem}; waiting for it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            print(f"warning: no locks in {path.parent} ({error.strerror}): start one make at a time", file=sys.stderr)
        yield file


def main(argv: Optional[List[str]] = None) -> int:
    """Exit code 0: the environment stands; 2: the user has to do something; 130: interrupted."""
    parser = argparse.ArgumentParser(prog="environments/build.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="tensorflow, pytorch; none: only check this Python")
    parser.add_argument("--home", type=Path, default=Path(".venv"), help="where environments live (default .venv)")
    arguments = parser.parse_args(argv)
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        check_python()
        for name in arguments.names:
            if name not in ("tensorflow", "pytorch"):
                raise BuildError(f"there is no environment {name!r}; there are: tensorflow, pytorch")
            check_venv()
            build(name, arguments.home)
    except (BuildError, OSError) as error:
        way = "" if isinstance(error, BuildError) else f": {arguments.home} has to be a folder that can be written to"
        print(f"error: {error}{way}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; nothing half-built is left, the same command starts again", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


if __name__ == "__main__":
    sys.exit(main())
