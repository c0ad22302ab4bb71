"""What of the user's environment reaches a program. docs/reliability.md lists who reads what. Standard library only."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import pwd
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from common.errors import UsageError
from common.paths import repo_root

# Variables that a notebook, a tutorial or another project left, by the beginnings of their names. They would change
# numbers, or end a program whose library does not know their value. Each has a flag of ours, or is of no use here.
REMOVED = (
    "TF_USE_LEGACY_KERAS",  # TensorFlow then wants a package that is not in the environment
    "TF_XLA_FLAGS",  # compiles whole graphs; an unknown flag aborts the process
    "TF_ENABLE_AUTO_MIXED_PRECISION",  # --precision
    "TF_DETERMINISTIC_OPS",  # --deterministic
    "TF_CUDNN_DETERMINISTIC",
    "NVIDIA_TF32_OVERRIDE",  # its 0 stays: float32 as it was before TensorFloat-32
    "ONEDNN_DEFAULT_FPMATH_MODE",  # products in bfloat16
    "DNNL_DEFAULT_FPMATH_MODE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_LOGS",  # an unknown name ends the import of torch
    "PYTORCH_JIT",
    "PYTORCH_TUNABLEOP_",  # other kernels
    "NPY_",  # numpy's rules of promotion and its kernels
    "NUMBA_",  # an unknown threading layer ends the first step
    "TQDM_",  # a value of another type ends the import of tqdm
    "PYTHONHOME",  # for the Python that this one starts, of another environment
)
NO_TF32 = ("NVIDIA_TF32_OVERRIDE", "0")
KEPT = ("NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR", "TQDM_DISABLE")
XLA_FLAGS_KEPT = ("--xla_gpu_cuda_data_dir",)  # where the compiler for GPUs lies
RC = "matplotlibrc"
NO_HOME = "/nonexistent"  # as passwd has it for accounts without a home
# AF_UNIX takes 107 bytes: of a reading worker "/pymp-xxxxxxxx/listener-xxxxxxxx", of Ray
# "/ray_xxxxxxxx/session_<date>_<time>_<microseconds>_<process>/sockets/plasma_store" follow.
ROOM_OF_WORKERS, ROOM_OF_RAY = 107 - 33, 107 - 77
OTHER_TEMPORARY_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


def settle() -> None:
    """Takes out of the environment what must not reach a program. Called before a library is imported; twice is once.

    What is set stays for the programs that this one starts.
    """
    found = [name for name in os.environ if name.startswith(REMOVED)]
    gone = [name for name in found if name not in KEPT and (name, os.environ[name]) != NO_TF32]
    for name in gone:
        del os.environ[name]
    if _keep_flags_of_xla():
        gone.append("XLA_FLAGS")
    if gone:
        logging.info("variables without effect here: %s", ", ".join(sorted(gone)))
    _warn_as_python_does()
    _own_packages_first()
    _have_a_name_and_a_home()
    if len(os.fsencode(tempfile.gettempdir())) > ROOM_OF_WORKERS:
        os.environ["TMPDIR"] = tempfile.tempdir = short_temporary_folder(ROOM_OF_WORKERS)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names and texts may hold what this terminal's encoding has not
        sys.stdout.reconfigure(errors="backslashreplace")


def short_temporary_folder(room: int) -> str:
    """A folder for temporary files whose path has `room` bytes at most. Raises: UsageError where there is none."""
    for folder in (tempfile.gettempdir(), *OTHER_TEMPORARY_FOLDERS):
        if len(os.fsencode(folder)) <= room and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise UsageError(
        f"TMPDIR={os.environ.get('TMPDIR', '')}: the name of a socket in it would be too long, and "
        f"{', '.join(OTHER_TEMPORARY_FOLDERS)} cannot be written to; set TMPDIR to a path of at most {room} bytes"
    )


@contextlib.contextmanager
def folder_for_ray() -> Iterator[str]:
    """A folder for the sockets and logs of a cluster of this program's own, which then reads no RAY_ variable.

    Entered before Ray is imported. Raises: UsageError where no folder has a path that is short enough.
    """
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        del os.environ[name]
    short = short_temporary_folder(ROOM_OF_RAY)
    with tempfile.TemporaryDirectory(prefix="ray_", dir=short, ignore_cleanup_errors=True) as folder:
        yield folder


def torchrun() -> Mapping[str, int] | None:
    """RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE of a process that torchrun started; None for any other.

    Raises: UsageError where they contradict one another.
    """
    # Schedulers and notebooks leave some of them; a process that was started to meet others is told where.
    if not all(os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")):
        return None
    given = {name: os.environ[name] for name in ("RANK", "WORLD_SIZE")}
    given["LOCAL_RANK"] = os.environ.get("LOCAL_RANK", given["RANK"])
    given["LOCAL_WORLD_SIZE"] = os.environ.get("LOCAL_WORLD_SIZE", given["WORLD_SIZE"])
    with contextlib.suppress(ValueError):
        found = {name: int(value) for name, value in given.items()}
        if 0 <= found["RANK"] < found["WORLD_SIZE"] and 0 <= found["LOCAL_RANK"] < found["LOCAL_WORLD_SIZE"]:
            return found
    said = " ".join(f"{name}={value}" for name, value in given.items())
    raise UsageError(f"{said}: no place among processes; start them with torchrun, or unset these for a single one")


def leads() -> bool:
    """Whether this process is the one that prints."""
    try:
        place = torchrun()
    except UsageError:  # to be said by all of them
        return True
    return place is None or place["RANK"] == 0


def _keep_flags_of_xla() -> bool:
    """Whether any was taken out of XLA_FLAGS, which other frameworks read too; TensorFlow aborts over unknown ones."""
    given = os.environ.get("XLA_FLAGS", "").split()
    kept = [flag for flag in given if flag.startswith(XLA_FLAGS_KEPT)]
    if kept == given:
        return False
    if kept:
        os.environ["XLA_FLAGS"] = " ".join(kept)
    else:
        del os.environ["XLA_FLAGS"]
    return True


def _warn_as_python_does() -> None:
    """PYTHONWARNINGS=error would end a program over a library's remark to its developers."""
    if os.environ.pop("PYTHONWARNINGS", ""):
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)


def _own_packages_first() -> None:
    """What PYTHONPATH names comes after the environment's own packages, here and not at all in children."""
    root = str(repo_root())
    given = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    foreign = [path for path in given if path != root and not path.startswith(root + os.sep)]
    if foreign:
        sys.path[:] = [path for path in sys.path if path not in foreign] + [p for p in foreign if p in sys.path]
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in given if path not in foreign)


def _have_a_name_and_a_home() -> None:
    """A container's user need not be in passwd: libraries that ask for its name or home then end the program."""
    try:
        pwd.getpwuid(os.getuid())
        return
    except KeyError:
        pass
    if not any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        os.environ["USER"] = f"uid{os.getuid()}"
    if not os.environ.get("HOME"):
        os.environ["HOME"] = NO_HOME  # else some write to a folder called ~ beside the code


def picture_settings() -> None:
    """Lets matplotlib draw as it is delivered, whatever backend or style a user's environment names.

    Called before its first import.
    """
    package = find_spec("matplotlib")
    os.environ["MPLBACKEND"] = "agg"
    if package is not None and package.origin is not None:
        own = Path(package.origin).parent / "mpl-data" / RC
        os.environ["MATPLOTLIBRC"] = str(own)
        if os.path.exists(RC):  # in the current folder, where it is looked for first
            with contextlib.chdir(own.parent):
                importlib.import_module("matplotlib")
