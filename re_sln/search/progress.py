"""How far a search for σ is: a bar on a terminal, a line now and then elsewhere, and metrics.jsonl."""

from __future__ import annotations

import time

from tqdm import tqdm

from common.errors import RecordError
from common.records.record import AnyRecord
from common.records.record_files import read_metrics
from re_sln.search.search import METRIC, Search

SAY_SECONDS = 60.0


class Progress:
    """Counts steps and epochs of all trials together; those from before an interruption are counted in."""

    def __init__(self, search: Search, record: AnyRecord) -> None:
        self._record, self._epochs_each = record, search.first.flags.n_epochs
        lines = {sigma: _last_line(search, sigma) for sigma in search.trials}
        self._steps = {sigma: int(line["step"]) for sigma, line in lines.items()}
        self._epochs = {sigma: int(line["epoch"]) for sigma, line in lines.items()}
        self._logged, self._seen = sum(self._steps.values()), 0
        self._first = self._said = time.monotonic()
        self._bar = tqdm(
            total=self._epochs_each * len(lines),
            initial=sum(self._epochs.values()),
            unit="epoch",
            desc=f"{len(lines)} trials",
            disable=None,
            dynamic_ncols=True,
        )

    @property
    def step(self) -> int:
        """Steps of all trials that metrics.jsonl has lines for."""
        return self._logged

    def tell(self, sigma: str, result: dict) -> None:
        """Takes note of a trial's epoch: result has step, epoch and accuracy_val."""
        self._steps[sigma], self._epochs[sigma] = result["step"], result["epoch"]
        now = time.monotonic()
        if not self._seen:
            self._first = now  # processes take their time to start, epochs come evenly from here on
        self._seen += 1
        step, epochs = sum(self._steps.values()), sum(self._epochs.values())
        # A trial whose process was killed repeats epochs that are logged already.
        if step > self._logged:
            self._record.log(step, result["epoch"], {METRIC + sigma: result["accuracy_val"]})
            self._logged = step
        self._bar.n = epochs
        self._bar.refresh()
        done = result["epoch"] == self._epochs_each
        if done or (self._bar.disable and now - self._said > SAY_SECONDS):
            finished = sum(epoch == self._epochs_each for epoch in self._epochs.values())
            self.say(
                f"σ = {sigma}: accuracy {result['accuracy_val']:.4f} on the held-out labels after epoch "
                f"{result['epoch']}; {finished} of {len(self._epochs)} trials done{self._to_go(now)}"
            )
            self._said = now

    def _to_go(self, now: float) -> str:
        epochs = self._epochs_each * len(self._epochs) - sum(self._epochs.values())
        if not epochs or self._seen < 2:
            return ""
        return f", about {duration((now - self._first) / (self._seen - 1) * epochs)} to go"

    def say(self, text: str) -> None:
        """Prints above the bar."""
        self._bar.write(text)

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()


def duration(seconds: float) -> str:
    """`1 h 05 min`, `12 min` or `40 s`."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _last_line(search: Search, sigma: str) -> dict[str, float]:
    try:
        return {"epoch": 0, **read_metrics(search.trial_folder(sigma))[-1]}
    except (IndexError, RecordError):
        return {"step": 0, "epoch": 0}
