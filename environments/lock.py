"""Write the locks from the *.in files: `make lock` keeps every version that still fits, `make lock UPGRADE=1` none.

The resolver runs in an environment of its own that is thrown away. Every lock is for CPython 3.11 on 64-bit Linux.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESOLVER = "uv==0.13.8"
LOCKS = {  # lock: (its source, what stands for {tensorflow} in it)
    "bootstrap.txt": ("bootstrap.in", ""),
    "tensorflow-cpu.txt": ("tensorflow.in", "tensorflow-cpu"),
    "tensorflow-gpu.txt": ("tensorflow.in", "tensorflow[and-cuda]"),
    "pytorch.txt": ("pytorch.in", ""),
}
OPTIONS = [
    *("--generate-hashes", "--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28"),
    # Nothing of the machine that resolves may get into the lock.
    *("--quiet", "--no-config", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
]


def main(argv: list[str] | None = None) -> int:
    """Resolve all locks, then replace them together: either all are new or none."""
    parser = argparse.ArgumentParser(prog="environments/lock.py", description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that the *.in files allow")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", RESOLVER], check=True)
        for lock, (source, tensorflow) in LOCKS.items():
            output = Path(folder) / lock
            if (HERE / lock).exists() and not arguments.upgrade:
                output.write_bytes((HERE / lock).read_bytes())  # the resolver prefers what it finds there
            requirements = Path(folder) / source
            requirements.write_text((HERE / source).read_text().replace("{tensorflow}", tensorflow))
            command: list[str | Path] = [python, "-m", "uv", "pip", "compile", *OPTIONS]
            command += [requirements, "--output-file", output]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for lock, (source, _) in LOCKS.items():
            text = (Path(folder) / lock).read_text()
            header = f"# Written by `make lock` from {source}; edit that and run it again.\n"
            (HERE / lock).write_text(header + text.removeprefix(header))
    return 0


if __name__ == "__main__":
    sys.exit(main())
