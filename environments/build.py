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
import time
from pathlib import Path
from typing import Any, Iterator, List, Optional

ROOT = Path(__file__).resolve().parent.parent
STAMP = "lock.sha256"  # reproduce/provenance.py reads it: every result names the lock it was made with
GIGABYTE = 1e9
DISK_NEEDED = {"tensorflow-cpu": 3.5, "tensorflow-gpu": 9.0, "pytorch": 9.0}  # gigabytes, wheels in passing included
PIP = ["-m", "pip", "install", "--require-hashes", "--no-deps", "--no-compile", "--progress-bar=off", "--no-input"]
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
            " 3.11. Install it and run make again, or say where it is: make PYTHON=/path/to/python3.11 …"
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
    free = shutil.disk_usage(str(folder)).free / GIGABYTE
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


def lock_name(name: str) -> str:
    """Which lock an environment is built from on this machine."""
    if name != "tensorflow":
        return name
    return "tensorflow-gpu" if has_gpu() else "tensorflow-cpu"


def is_built(folder: Path, digest: str) -> bool:
    """Whether the environment is whole, of this lock, and its Python still starts."""
    try:
        if (folder / STAMP).read_text().strip() != digest:
            return False
        return subprocess.run([str(folder / "bin" / "python"), "-c", ""], check=False).returncode == 0
    except OSError:
        return False


def build(name: str, home: Path) -> None:
    """Build one environment under `home` unless it is there already."""
    lock = ROOT / "environments" / (lock_name(name) + ".txt")
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    folder, log = home / name, home / (name + ".log")
    home.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(home / (name + ".building")):
        if is_built(folder, digest):
            return
        gigabytes = DISK_NEEDED[lock.stem]
        remove(folder)
        check_disk(home, gigabytes)
        packages = len(re.findall(r"^[^\s#]+==", lock.read_text(), re.MULTILINE))
        print(f"building {folder} from {lock.name} ({packages} packages, some minutes); log: {log}", flush=True)
        started = time.monotonic()
        try:
            with open(str(log), "w") as file:
                run([sys.executable, "-m", "venv", str(folder)], file, 0)
                python = str(folder / "bin" / "python")
                run([python, *PIP, "-r", str(lock.parent / "bootstrap.txt")], file, 0)
                run([python, *PIP, "--no-build-isolation", "-r", str(lock)], file, packages)
            (folder / (STAMP + ".tmp")).write_text(digest + "\n")
            os.replace(str(folder / (STAMP + ".tmp")), str(folder / STAMP))
        except BaseException as error:
            remove(folder)
            if isinstance(error, (subprocess.CalledProcessError, OSError)):
                raise BuildError(explain(error, log, lock.name, gigabytes)) from error
            raise
        print(f"built {folder} in {time.monotonic() - started:.0f} s", flush=True)


def run(command: List[str], log: Any, packages: int) -> None:
    """Run one step with its output in the log; on a terminal, count the packages as pip comes to them."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    assert process.stdout is not None
    try:
        seen = 0
        for line in process.stdout:
            log.write(line)
            if packages and sys.stdout.isatty() and line.startswith(("Collecting", "Installing collected")):
                seen += line.startswith("Collecting")
                doing = f"{seen} of {packages} fetched" if line.startswith("Collecting") else "installing"
                print(f"\r  {doing:<30}", end="\n" if doing == "installing" else "", flush=True)
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if code != 0:
        log.flush()
        raise subprocess.CalledProcessError(code, command)


def explain(error: BaseException, log: Path, lock: str, gigabytes: float) -> str:
    """One sentence for the user out of pip's log."""
    text = str(error) + "\n" + (log.read_text(errors="replace") if log.exists() else "")
    for pattern, sentence in CAUSES:
        if re.search(pattern, text):
            return sentence.format(lock=lock, gigabytes=gigabytes) + f" (pip's log: {log})"
    last = [line for line in text.splitlines() if line.strip()][-1]
    return f"{lock} could not be installed: {last.strip()} (the whole log: {log})"


def remove(folder: Path) -> None:
    """Remove an environment; the stamp goes first, so that one which is half removed counts as none."""
    with contextlib.suppress(OSError):
        (folder / STAMP).unlink()
    if folder.exists():
        shutil.rmtree(str(folder))


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Two `make` at once: the second waits and then finds the work done."""
    with open(str(path), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"another process is building {path.stem}; waiting for it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(argv: Optional[List[str]] = None) -> int:
    """Exit code 0: the environment stands; 2: the user has to do something; 130: interrupted."""
    parser = argparse.ArgumentParser(prog="environments/build.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="tensorflow, pytorch; none: only check this Python")
    parser.add_argument("--home", type=Path, default=Path(".venv"), help="where environments live (default .venv)")
    arguments = parser.parse_args(argv)
    known = ("tensorflow", "pytorch")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        check_python()
        for name in arguments.names:
            if name not in known:
                raise BuildError(f"there is no environment {name!r}; there are: {', '.join(known)}")
            check_venv()
            build(name, arguments.home)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; nothing half-built is left, the same command starts again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
