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

from common.errors import DataError
from common.storage.files import atomic_write
from data.disk import human, require_space
from data.watch import Watch, watched_session

_BLOCK = 1 << 16


class AddressError(DataError):
    """This address will not give the file, however often it is asked."""


class NetworkError(DataError):
    """No address could be reached."""


@dataclass
class Patience:
    """How long to wait and how often to try. `attempts` are attempts in a row that bring next to nothing.

    slowest: bytes a second that must arrive on average in each `window` of seconds, the first of which begins with the
    request. most_unannounced: bytes that are taken where neither server nor registry says how many there are.
    """

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    window: float = 60.0
    slowest: float = 1000.0
    most_unannounced: int = 10**9
    sleep: Callable[[float], None] = time.sleep
    # Two processes that failed together should not come back together, so the jitter is not seeded.
    jitter: random.Random = field(default_factory=random.Random)

    def wait(self, failures: int, at_least: float = 0.0) -> None:
        """Sleeps before the next attempt: longer after each failure, at least what the server asked for."""
        longest = min(self.longest_wait, self.first_wait * 2 ** (failures - 1))
        self.sleep(min(self.longest_wait, max(at_least, longest * self.jitter.uniform(0.5, 1.0))))


class _Interrupted(Exception):
    """The transfer ended early; what arrived is kept."""

    def __init__(self, reason: str, wait: float = 0.0, slow: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.slow = wait, slow


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
        if not isinstance(note, dict) or note.get("address") != address:
            return None
        validator = note.get("validator")
        return validator if isinstance(validator, str) else None

    def begin(self, address: str, headers: "requests.structures.CaseInsensitiveDict[str]") -> None:
        """Forgets old bytes; remembers which version of the file the new ones belong to."""
        self.discard()
        etag = headers.get("ETag")
        # A weak ETag promises the same meaning, not the same bytes: useless for joining two halves.
        validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
        atomic_write(self._note, json.dumps({"address": address, "validator": validator}))

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def discard_partial(path: Path) -> None:
    """Throws a partial (or complete) download away."""
    _Partial(path).discard()


def _range_of(response: requests.Response) -> tuple[int | None, int | None]:
    """(first byte, size of the whole file) from Content-Range; None for what is not said."""
    given = response.headers.get("Content-Range", "").strip()
    match = re.fullmatch(r"bytes (?:(\S+)-\S+|\*)/(\S+|\*)", given)
    if not match or (match[2] != "*" and _number(match[2]) is None):
        return None, None
    return _number(match[1]), _number(match[2])


def _number(text: str | None) -> int | None:
    """A number as headers have them; None for anything else, and for one that no file's size is."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,18}", text) else None


def _refuse_wrong_answers(response: requests.Response, address: str) -> None:
    if urlsplit(address).scheme == "https" and urlsplit(response.url).scheme != "https":
        raise AddressError(f"{address} leads to {response.url}, which is not encrypted, so it is not followed.")
    if response.status_code == 429 or response.status_code >= 500:
        wait = _number(response.headers.get("Retry-After"))
        raise _Interrupted(f"the server answered {response.status_code}", float(wait or 0))
    if response.status_code not in (200, 206, 416):
        reason = "".join(c if c.isprintable() else "?" for c in response.reason or "")
        raise AddressError(f"{address} answered {response.status_code} {reason}.")
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
    with Watch(patience.window, patience.window * patience.slowest) as watch:
        try:
            with watched_session(watch) as session, _answer(session, address, headers, patience) as response:
                total = _expected(response, address, partial, size, have)
                if response.status_code != 416:  # there it is complete
                    _append(response, partial, total, patience.most_unannounced, watch)
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, _Interrupted):
            if not watch.slow:
                raise
        if watch.slow:
            speed = f"less than {human(int(patience.slowest))} a second over {patience.window:g} s"
            raise _Interrupted(f"the server is too slow ({speed})", slow=True)


def _answer(session: requests.Session, address: str, headers: dict[str, str], patience: Patience) -> requests.Response:
    timeout = (patience.connect_timeout, patience.read_timeout)
    try:
        return session.get(address, headers=headers, stream=True, timeout=timeout)
    except requests.exceptions.RequestException:
        raise
    except ValueError as error:  # of the parts that requests takes an address to, a redirect's for one
        raise AddressError(f"{address} leads to something that is not an address.") from error


def _expected(response: requests.Response, address: str, partial: _Partial, size: int | None, have: int) -> int | None:
    """The length of the whole file, None where nobody says it; `partial` is ready for what the answer brings.

    Raises _Interrupted or AddressError for an answer that brings nothing of use.
    """
    _refuse_wrong_answers(response, address)
    first, total = _range_of(response)
    if response.status_code == 200:
        total = _number(response.headers.get("Content-Length"))
    if size is not None and total is not None and total != size:  # what another address gave stays
        raise AddressError(f"{address} offers {total} bytes, the registry says {size}: it is another file.")
    if response.status_code == 416:
        if have and total == have and size in (None, have):
            return have
        partial.discard()
        raise _Interrupted("the server refused to continue, so the download starts again")
    if response.status_code == 206 and first != have:
        partial.discard()
        raise _Interrupted("the server continued at the wrong place, so the download starts again")
    if response.status_code == 200:
        partial.begin(address, response.headers)
        have = 0
    if size is None and total is not None:
        require_space(partial.path.parent, total - have, f"downloading {address}")
    return size if size is not None else total


def _append(
    response: requests.Response, partial: _Partial, total: int | None, most_unannounced: int, watch: Watch
) -> None:
    name, have = partial.path.name.removesuffix(".part"), partial.size()
    with (
        open(partial.path, "ab", buffering=0) as stream,
        # disable=None: no bar where nobody watches (a pipe, a log file).
        tqdm(total=total, initial=have, desc=name, unit="B", unit_scale=True, disable=None, leave=False) as bar,
    ):
        # Not iter_content: it gathers whole blocks, and drops what it has of the last one when the connection breaks.
        while block := response.raw.read1(_BLOCK):
            stream.write(block)
            have += len(block)
            watch.received += len(block)
            bar.update(len(block))
            if have > (most_unannounced if total is None else total):
                break
    if total is None and have > most_unannounced:
        partial.discard()
        raise AddressError(
            f"{response.url} sends more than {human(most_unannounced)} without saying how much there is, nor does the "
            "registry: take more with --most_gb, or get the file by hand."
        )
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
            reason, at_least, slow = str(error), error.wait, error.slow
        except (
            requests.exceptions.InvalidURL,
            requests.exceptions.MissingSchema,
            requests.exceptions.InvalidSchema,
            requests.exceptions.TooManyRedirects,
        ) as error:
            raise AddressError(f"{address} cannot be used ({type(error).__name__}{_of_proxy(address)}).") from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            reason, at_least, slow = _plain_reason(error), 0.0, False
        # Only new ground counts as progress, and not a byte of it: a server that always breaks at the same place, or
        # sends one byte at a time, must not hold us for ever.
        if not slow and partial.size() - furthest >= min(patience.slowest, _BLOCK):
            failures, furthest = 0, partial.size()
        else:
            failures += 1
        if failures >= patience.attempts:
            raise NetworkError(f"{address}: {reason}, {failures} attempts in a row brought nothing new.")
        tqdm.write(f"{address}: {reason}; trying again.")
        patience.wait(max(failures, 1), at_least)


def _of_proxy(address: str) -> str:
    """What is to be known of a proxy where one is named for this address, without its name: it may hold a password."""
    if not requests.utils.select_proxy(address, requests.utils.get_environ_proxies(address, no_proxy=None)):
        return ""
    return (
        "; the proxy that ALL_PROXY, HTTPS_PROXY or HTTP_PROXY names has to be http://HOST:PORT, SOCKS is not "
        "supported: name such a one, or unset it"
    )


def _plain_reason(error: Exception) -> str:
    if isinstance(error, requests.exceptions.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "the connection broke"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not accepted"
    return "no connection"
