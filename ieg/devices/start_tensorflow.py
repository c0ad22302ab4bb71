"""What TensorFlow reads from the environment when it is loaded."""

from __future__ import annotations

import os
import sys

from common.errors import UsageError


def prepare_tensorflow() -> None:
    """Set what a user has not set; call it before TensorFlow is imported for the first time. Raises: UsageError.

    TensorFlow 2.15 takes its oneDNN kernels by itself only where the processor has AVX-512 VNNI or AMX. With AVX2 alone
    they halve the time of an IEG step too; sums are taken in another order, so last bits differ.
    """
    if sys.flags.optimize > 1:
        raise UsageError(
            "PYTHONOPTIMIZE=2 (python -OO) takes the docstrings away, which TensorFlow reads when it is imported: unset"
            " it, or set it to 1"
        )
    # keras.json in a user's home could name another precision or order of dimensions, or end the import; the file that
    # Keras would write there is of no use either.
    os.environ["KERAS_HOME"] = os.devnull
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Its start-up notes would bury ours; built for GPUs it begins with three "errors" that are none. What ends a run is
    # raised.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Kernels that it compiles for a GPU newer than itself, once: more than the driver keeps by itself.
    os.environ.setdefault("CUDA_CACHE_MAXSIZE", str(4 * 2**30))
