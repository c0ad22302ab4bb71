"""Downloading one file: resumed where it broke, repeated with patience, never trusted before its checksum."""

import errno
import json
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3
from tqdm import tqdm

from data.disk import human, require_space, write_atomically
from data.errors import DataError

_BLOCK = 1 << 16


class AddressError(DataError):
    """This address will not give the file, however often it is asked."""


class NetworkError(DataError):
    """No address could be reached."""


@dataclass
class Patience:
    """How long to wait and how often to try. `attempts` are attempts in a row that bring nothing new."""

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    # Two processes that failed together should not come back together, so the jitter is not seeded.
    jitter: random.Random = field(default_factory=random.Random)

    def wait(self, failures: int, at_least: float = 0.0) -> None:
        """Sleeps before the next attempt: longer after each failure, at least what the server asked for."""
        longest = min(self.longest_wait, self.first_wait * 2 ** (failures - 1))
        self.sleep(min(self.longest_wait, max(at_least, longest * self.jitter.uniform(0.5, 1.0))))


class _Interrupted(Exception):
    """The transfer ended early; what arrived is kept."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class _Partial:
    """A partial download: the bytes, and beside them what the server said identifies this version of the file."""

    def __init__(self, path: Path) -> None:
        self.path, self._note = path, path.with_name(path.name + ".json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self, address: str) -> str | None:
        """The value for If-Range, if the bytes came from this address and the server gave one."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return note.get("validator") if note.get("address") == address else None

    def begin(self, address: str, headers: "requests.structures.CaseInsensitiveDict[str]") -> None:
        """Forgets old bytes; remembers which version of the file the new ones belong to."""
        self.discard()
        etag = headers.get("ETag")
        # A weak ETag promises the same meaning, not the same bytes: useless for joining two halves.
        validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
        write_atomically(self._note, json.dumps({"address": address, "validator": validator}))

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def discard_partial(path: Path) -> None:
    """Throws a partial (or complete) download away."""
    _Partial(path).discard()


def _range_of(response: requests.Response) -> tuple[int | None, int | None]:
    """(first byte, size of the whole file) from Content-Range; None for what is not said."""
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    if not match:
        return None, None
    first, total = match.groups()
    return (int(first) if first else None), (int(total) if total and total != "*" else None)


def _refuse_wrong_answers(response: requests.Response, address: str) -> None:
    if urlsplit(address).scheme == "https" and urlsplit(response.url).scheme != "https":
        raise AddressError(f"{address} leads to {response.url}, which is not encrypted, so it is not followed.")
    if response.status_code == 429 or response.status_code >= 500:
        wait = response.headers.get("Retry-After", "")
        raise _Interrupted(f"the server answered {response.status_code}", float(wait) if wait.isdigit() else 0.0)
    if response.status_code not in (200, 206, 416):
        raise AddressError(f"{address} answered {response.status_code} {response.reason}.")
    if response.status_code != 416 and response.headers.get("Content-Type", "").startswith("text/html"):
        raise AddressError(f"{address} answered with a web page instead of the file.")


def _transfer(address: str, partial: _Partial, size: int | None, has_checksum: bool, patience: Patience) -> None:
    """One request. Returns when the file is complete; raises _Interrupted or AddressError otherwise."""
    have, validator = partial.size(), partial.validator(address)
    if have and size is not None and have == size:
        return
    # Without validator and checksum nothing would tell that the two halves belong to different versions.
    if have and (not (validator or has_checksum) or (size is not None and have > size)):
        partial.discard()
        have = 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator
    timeout = (patience.connect_timeout, patience.read_timeout)
    with requests.get(address, headers=headers, stream=True, timeout=timeout) as response:
        _refuse_wrong_answers(response, address)
        first, total = _range_of(response)
        if response.status_code == 416:
            if have and total == have and size in (None, have):
                return
            partial.discard()
            raise _Interrupted("the server refused to continue, so the download starts anew")
        if response.status_code == 206 and first != have:
            partial.discard()
            raise _Interrupted("the server continued at the wrong place, so the download starts anew")
        if response.status_code == 200:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
            partial.begin(address, response.headers)
            have = 0
        if size is not None and total is not None and total != size:
            partial.discard()
            raise AddressError(f"{address} offers {total} bytes, the registry says {size}: it is another file.")
        if size is None and total is not None:
            require_space(partial.path.parent, total - have, f"downloading {address}")
        _append(response, partial, have, size or total)


def _append(response: requests.Response, partial: _Partial, have: int, total: int | None) -> None:
    name = partial.path.name.removesuffix(".part")
    with (
        open(partial.path, "ab", buffering=0) as stream,
        # disable=None: no bar where nobody watches (a pipe, a log file).
        tqdm(total=total, initial=have, desc=name, unit="B", unit_scale=True, disable=None, leave=False) as bar,
    ):
        # Not iter_content: it gathers whole blocks, and drops what it has of the last one when the connection breaks.
        while block := response.raw.read1(_BLOCK):
            stream.write(block)
            have += len(block)
            bar.update(len(block))
            if total is not None and have > total:
                break
    if total is not None and have != total:
        if have > total:
            partial.discard()
        raise _Interrupted(f"{have} of {total} bytes arrived")


def download(
    addresses: tuple[str, ...], path: Path, size: int | None, has_checksum: bool, patience: Patience | None = None
) -> str:
    """Completes the partial file `path` from the first address that works, and returns that address.

    size: the published length, None if unknown. has_checksum: whether the caller will compare a checksum, which
    allows resuming where the server gives no validator. What arrived stays on disk, whatever happens.
    Raises NetworkError if no address works; DataError if the disk is full.
    """
    patience, reasons = patience or Patience(), []
    for address in addresses:
        try:
            _persist(address, _Partial(path), size, has_checksum, patience)
            return address
        except (AddressError, NetworkError) as error:
            reasons.append(str(error))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise DataError(
                f"The disk is full: {human(_Partial(path).size())} of {path.name.removesuffix('.part')} are kept in "
                f"{path}; free some space and start again, the download resumes."
            ) from error
    raise NetworkError(" ".join(reasons))


def _persist(address: str, partial: _Partial, size: int | None, has_checksum: bool, patience: Patience) -> None:
    failures, furthest = 0, partial.size()
    while True:
        try:
            return _transfer(address, partial, size, has_checksum, patience)
        except _Interrupted as error:
            reason, at_least = str(error), error.wait
        except (
            requests.exceptions.InvalidURL,
            requests.exceptions.MissingSchema,
            requests.exceptions.InvalidSchema,
            requests.exceptions.TooManyRedirects,
        ) as error:
            raise AddressError(f"{address} cannot be used ({type(error).__name__}).") from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            reason, at_least = _plain_reason(error), 0.0
        # Only new ground counts as progress: a server that always breaks at the same place must not hold us for ever.
        failures = 0 if partial.size() > furthest else failures + 1
        furthest = max(furthest, partial.size())
        if failures >= patience.attempts:
            raise NetworkError(f"{address}: {reason}, {failures} attempts in a row brought nothing new.")
        tqdm.write(f"{address}: {reason}; trying again.")
        patience.wait(max(failures, 1), at_least)


def _plain_reason(error: Exception) -> str:
    if isinstance(error, requests.exceptions.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "the connection broke"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not accepted"
    return "no connection"
