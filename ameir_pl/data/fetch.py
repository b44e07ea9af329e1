"""Fetching MovieLens-100K: from a folder or archive of the user's, from GroupLens, from RecBole's wheel."""

from __future__ import annotations

import hashlib
import http.client
import io
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from ameir_pl.atomic import replacing, sha256
from ameir_pl.errors import AmeirError
from ameir_pl.progress import console

ZIP_URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
ZIP_SHA256 = "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"
WHEEL = "recbole==1.2.1"
WHEEL_FOLDER = "recbole/dataset_example/ml-100k/"

SHA256 = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
    "u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
    "u.item": "553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701",
    "u.user": "f120e114da2e8cf314fd28f99417c94ae9ddf1cb6db8ce0e4b5995d40e90e62c"}
"""Checksums of the files in both formats."""

SETS = (("ml-100k.inter", "ml-100k.item", "ml-100k.user"), ("u.data", "u.item", "u.user"))

CONNECT_SECONDS = 4.0
TRANSFER_SECONDS = 120.0
MOST_BYTES = 64 * 2**20
"""No file of this dataset is larger; more is not what was asked for."""


def fetch_movielens(target: Path, source: Path | None = None) -> str:
    """Put the three files of MovieLens-100K into ``target``, each checked against its SHA-256.

    Sources in order: ``source`` (a folder, a zip or a wheel; alone when named), GroupLens, RecBole's wheel through
    pip. A source that cannot be reached is passed over within seconds; one line tells of each attempt.

    Args:
        target: the folder to fill; files appear whole or not at all.
        source: the user's own copy.

    Returns:
        What served, in words.

    Raises:
        AmeirError: ``source`` lacks a file or fails its checksum, or no source served (each with its reason).
    """
    target = Path(target)
    if source is None and any(_holds(target, names) for names in SETS):
        return f"{target}, where it was already"
    sources: list[tuple[str, Callable[[], dict[str, bytes]]]] = []
    if source is not None:
        path = Path(source)
        sources.append((str(path), lambda: _from_path(path)))
    else:
        sources += [("GroupLens", _from_grouplens), ("RecBole's wheel (pip)", _from_wheel)]
    failures = []
    for name, get in sources:
        console().print(f"MovieLens-100K: asking {name}", markup=False, emoji=False)
        try:
            files = get()
        except AmeirError as error:
            if source is not None:
                raise
            failures.append(f"{name}: {error}")
            console().print(f"MovieLens-100K: {failures[-1]}", markup=False, emoji=False)
            continue
        _land(target, files)
        console().print(f"MovieLens-100K: {', '.join(files)} from {name} in {target}. Terms of GroupLens: research "
                        f"use, no redistribution without permission, no commercial use.", markup=False, emoji=False)
        return name
    raise AmeirError("MovieLens-100K: no source served. " + " ".join(failures) + f" Get {ZIP_URL} by other means "
                     "and name it: `ameir data fetch dataset=movielens dataset.source=FILE_OR_FOLDER`.")


def _holds(folder: Path, names: tuple[str, ...]) -> bool:
    return all((folder / name).is_file() and sha256(folder / name) == SHA256[name] for name in names)


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _land(target: Path, files: dict[str, bytes]) -> None:
    try:
        for name, content in files.items():
            with replacing(target / name) as temporary:
                temporary.write_bytes(content)
    except OSError as error:
        raise AmeirError(f"{target}: cannot be written ({error.strerror}). Name another folder with "
                         f"paths.data=FOLDER.") from error


def _checked(files: dict[str, bytes], where: str) -> dict[str, bytes]:
    """Return the first whole set of ``files``; raises ``AmeirError`` where one is missing or not the published one."""
    for names in SETS:
        if all(name in files for name in names):
            for name in names:
                if _sum(files[name]) != SHA256[name]:
                    raise AmeirError(f"{where}: the checksum of {name} is {_sum(files[name])}, that of MovieLens-100K "
                                     f"is {SHA256[name]}. Is it cut off or changed? To use files that are meant to "
                                     f"differ, name their folder: dataset.source=FOLDER.")
            return {name: files[name] for name in names}
    wanted = " or ".join(", ".join(names) for names in SETS)
    raise AmeirError(f"{where}: it has {', '.join(sorted(files)) or 'none'} of the files {wanted}.")


def _from_path(path: Path) -> dict[str, bytes]:
    try:
        if path.is_dir():
            files: dict[str, bytes] = {}
            for place in (path / "ml-100k", path):
                files |= {name: _read_file(place / name) for name in SHA256 if (place / name).is_file()}
            return _checked(files, str(path))
        if path.is_file():
            return _checked(_unpack(_read_file(path), str(path)), str(path))
    except OSError as error:
        raise AmeirError(f"{path}: cannot be read ({error.strerror}).") from error
    raise AmeirError(f"{path}: no such file or folder. Name a folder, a zip or a wheel that has MovieLens-100K.")


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise AmeirError(f"{path}: more than {MOST_BYTES} bytes, which is not MovieLens-100K.")
    return content


def _unpack(content: bytes, where: str, folder: str = "") -> dict[str, bytes]:
    """Return the wanted members of an archive by file name, in memory: no name in it decides where a file lands, and
    none is read further than its file can be long.

    Args:
        content: the archive.
        where: what to call it in messages.
        folder: take members of this folder only.

    Raises:
        AmeirError: it is no zip, is damaged, or a member's name leaves the archive's folder, is there twice, or is no
            plain file.
    """
    files: dict[str, bytes] = {}
    seen: set[str] = set()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                name = PurePosixPath(member.filename.replace("\\", "/"))
                if name.is_absolute() or ".." in name.parts or any(":" in part for part in name.parts):
                    raise AmeirError(f"{where}: the member '{member.filename}' would leave the archive's folder. "
                                     f"Nothing was unpacked; do not use this archive.")
                if str(name) in seen:
                    raise AmeirError(f"{where}: the member '{member.filename}' is there twice. Nothing was unpacked; "
                                     "do not use this archive.")
                seen.add(str(name))
                kind = stat.S_IFMT(member.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise AmeirError(f"{where}: the member '{member.filename}' is a link or a device, not a file. "
                                     "Nothing was unpacked; do not use this archive.")
                if name.name in SHA256 and name.name not in files and not member.is_dir() and str(name).startswith(
                        folder):
                    files[name.name] = _read_member(archive, member, where)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OSError,
            zlib.error) as error:
        raise AmeirError(f"{where}: not a readable zip archive ({error}).") from error
    return files


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> bytes:
    """Read a member; what it says of its size and what it unpacks to are both bounded."""
    # Python unpacks other kinds of compression whole, whatever the size they state.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise AmeirError(f"{where}: '{member.filename}' is packed in another way than the published archives "
                         "(deflate). Unpack it yourself and name the folder.")
    if member.file_size > MOST_BYTES:
        raise AmeirError(f"{where}: '{member.filename}' unpacks to {member.file_size} bytes, too many for "
                         "MovieLens-100K.")
    with archive.open(member) as file:
        return file.read(member.file_size + 1)


def _from_grouplens() -> dict[str, bytes]:
    content = _download(ZIP_URL)
    if _sum(content) != ZIP_SHA256:
        raise AmeirError(f"{ZIP_URL}: the checksum is {_sum(content)}, that of MovieLens-100K is {ZIP_SHA256}.")
    return _checked(_unpack(content, ZIP_URL), ZIP_URL)


def _download(url: str) -> bytes:
    answer: list[Any] = []

    def connect() -> None:
        try:
            answer.append(urllib.request.urlopen(url, timeout=CONNECT_SECONDS))
        except (OSError, http.client.HTTPException, ValueError) as error:
            answer.append(error)

    # The timeout of a socket does not cover looking up its name: a thread that is left behind does.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS + 2)
    if not answer:
        raise AmeirError(f"{url}: no answer within {CONNECT_SECONDS + 2:.0f} s.")
    if isinstance(answer[0], Exception):
        raise AmeirError(f"{url}: not reachable ({getattr(answer[0], 'reason', None) or answer[0]}).")
    start, content = time.monotonic(), bytearray()
    try:
        with answer[0] as response:
            while chunk := response.read(2**16):
                content += chunk
                if len(content) > MOST_BYTES:
                    raise AmeirError(f"{url}: more than {MOST_BYTES} bytes, which is not MovieLens-100K.")
                if time.monotonic() - start > TRANSFER_SECONDS:
                    raise AmeirError(f"{url}: not received within {TRANSFER_SECONDS:.0f} s.")
    except (OSError, http.client.HTTPException) as error:
        raise AmeirError(f"{url}: the transfer broke off ({error}).") from error
    return bytes(content)


def _from_wheel() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        # pip's own configuration says where it looks. --retries 0: an index out of reach is passed over in seconds.
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet",
                   "--disable-pip-version-check", "--no-input", "--timeout", f"{CONNECT_SECONDS:.0f}",
                   "--retries", "0", WHEEL, "-d", folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TRANSFER_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AmeirError(f"pip download {WHEEL} did not finish ({type(error).__name__}).") from error
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
            reason = errors[-1].removeprefix("ERROR:").strip() if errors else f"exit code {done.returncode}"
            raise AmeirError(f"pip download {WHEEL} failed: {reason}.")
        name = wheels[0].name
        return _checked(_unpack(wheels[0].read_bytes(), name, WHEEL_FOLDER), name)
