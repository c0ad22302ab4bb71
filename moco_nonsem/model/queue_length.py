"""Which queues and batches go together."""

from __future__ import annotations

from common.errors import UsageError

LARGEST_BATCH = 1024  # of the batch sizes that an error lists


def check_queue(length: int, batch_size: int) -> None:
    """Raises: UsageError, listing the batch sizes that fit, where the queue is no multiple of the batch."""
    if length % batch_size == 0:
        return
    fitting = [size for size in range(1, min(length, LARGEST_BATCH) + 1) if length % size == 0]
    multiples = sorted({max(1, length // batch_size) * batch_size, (length // batch_size + 1) * batch_size})
    raise UsageError(
        f"--moco-k={length} is no multiple of --batch-size={batch_size}: the queue takes in whole batches. Batch sizes "
        f"up to {LARGEST_BATCH} that fit: {', '.join(map(str, fitting))}; or give --moco-k="
        f"{' or '.join(map(str, multiples))}"
    )
