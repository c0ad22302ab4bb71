"""What TensorFlow says of memory, disks and other workers, in one sentence."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

import tensorflow as tf

from common.errors import RESUME, WorkFailed

DISK = {"No space left on device": errno.ENOSPC, "Disk quota exceeded": errno.EDQUOT, "Input/output error": errno.EIO}


@contextlib.contextmanager
def explained_failures() -> Iterator[None]:
    """Around the work of a run. Raises: OSError for a disk; WorkFailed for memory that is short, or a worker gone."""
    try:
        yield
    except tf.errors.OpError as error:
        for words, code in DISK.items():
            if words in error.message:
                raise OSError(code, os.strerror(code)) from error
        said = " ".join(error.message.split())[:160]
        if isinstance(error, tf.errors.ResourceExhaustedError):
            raise WorkFailed(f"there is not memory enough ({said} …): give a smaller --batch_size; {RESUME}") from error
        if isinstance(error, (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)):
            raise OSError(
                f"another worker is gone ({error.message.splitlines()[0]}): start the same command on all of them "
                "again; it resumes from the last checkpoint"
            ) from error
        raise
