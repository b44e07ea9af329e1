"""Fetching: folders, archives, checksums, archives that would write elsewhere, and sources out of reach."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import struct
import subprocess
import tarfile
import time
import tracemalloc
import urllib.error
import urllib.request
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ameir_pl.data import DATASETS, fetch
from ameir_pl.data.fetch import fetch_movielens
from ameir_pl.errors import AmeirError
from tests.data.make import write_movielens


@pytest.fixture
def sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Folders with generated files in both formats, whose checksums take the place of the published ones."""
    folders = {form: write_movielens(tmp_path / form, form=form) for form in ("recbole", "grouplens")}
    monkeypatch.setattr(fetch, "SHA256", {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                                          for folder in folders.values() for path in folder.iterdir()})
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: pytest.fail("no network in tests"))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("no pip in tests"))
    return folders


def archive(folder: Path, prefix: str, *others: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for path in sorted(folder.iterdir()):
            out.write(path, prefix + path.name)
        for name in others:
            out.writestr(name, "boo")
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["recbole", "grouplens"])
@pytest.mark.parametrize("how", ["folder", "parent", "zip"])
def test_from_what_the_user_names(form: str, how: str, sums: dict[str, Path], tmp_path: Path) -> None:
    source, target = sums[form], tmp_path / "raw"
    if how == "parent":
        (tmp_path / "up").mkdir()
        source = source.rename(tmp_path / "up" / "ml-100k").parent
    elif how == "zip":
        source = tmp_path / "a.zip"
        source.write_bytes(archive(sums[form], "any/where/", "any/README"))
    assert DATASETS.get("movielens").fetch(target, source) == str(source)
    assert len(list(target.iterdir())) == 3, "wanted files only, no temporary ones"
    DATASETS.get("movielens")(raw=target, encoded=tmp_path / "encoded").prepare()
    assert "already" in fetch_movielens(target), "what is there and whole is not fetched again"


@pytest.mark.bad_input
@pytest.mark.parametrize("evil", ["../ml-100k.user", "/etc/ml-100k.user", "a/../../b", "..\\ml-100k.user", "C:/x"])
def test_an_archive_that_leaves_its_folder_is_refused(evil: str, sums: dict[str, Path], tmp_path: Path) -> None:
    source, target = tmp_path / "deep" / "a.zip", tmp_path / "deep" / "raw"
    source.parent.mkdir()
    source.write_bytes(archive(sums["recbole"], "", evil))
    with pytest.raises(AmeirError, match="would leave the archive's folder"):
        fetch_movielens(target, source)
    assert not target.exists() and not (tmp_path / "deep" / "ml-100k.user").exists()


def member(name: str, kind: int = stat.S_IFREG) -> zipfile.ZipInfo:
    """A member of a kind that only a Unix archive can have."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (kind | 0o644) << 16
    return info


def bomb(sums: dict[str, Path], method: int, size: int) -> bytes:
    """An archive whose first member unpacks to ``size`` bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as out:
        with out.open("ml-100k.user", "w", force_zip64=True) as file:
            for _ in range(size // 2**20):
                file.write(bytes(2**20))
        for name in ("ml-100k.inter", "ml-100k.item"):
            out.write(sums["recbole"] / name, name)
    return buffer.getvalue()


def lying(content: bytes, size: int) -> bytes:
    """The same, with another size stated for the first member, in its own header and in the directory."""
    found = bytearray(content)
    at = found.index(b"PK\x01\x02")
    struct.pack_into("<I", found, at + 24, size)
    extra = found[at + 46:].find(b"\x01\x00")
    if struct.unpack_from("<I", content, at + 24)[0] == 0xFFFFFFFF and extra >= 0:
        struct.pack_into("<Q", found, at + 46 + extra + 4, size)
    return bytes(found)


HOSTILE: dict[str, tuple[Callable[[zipfile.ZipFile], None], str]] = {
    "a link": (lambda out: out.writestr(member("ml-100k/link", stat.S_IFLNK), "/etc"), "is a link or a device"),
    "a link in place of a file": (lambda out: out.writestr(member("ml-100k.user", stat.S_IFLNK), "/etc/passwd"),
                                  "is a link or a device"),
    "a device": (lambda out: out.writestr(member("zero", stat.S_IFCHR), ""), "is a link or a device"),
    "a disk": (lambda out: out.writestr(member("disk", stat.S_IFBLK), ""), "is a link or a device"),
    "a pipe": (lambda out: out.writestr(member("pipe", stat.S_IFIFO), ""), "is a link or a device"),
    "a socket": (lambda out: out.writestr(member("socket", stat.S_IFSOCK), ""), "is a link or a device"),
    "a name twice": (lambda out: [out.writestr("ml-100k.user", text) for text in "ab"] and None, "is there twice"),
    "a name twice, written otherwise": (lambda out: [out.writestr(n, "a") for n in ("a/b", "a\\b")] and None,
                                        "is there twice"),
    "backslashes upwards": (lambda out: out.writestr("a\\..\\..\\b", "a"), "would leave the archive's folder"),
    "a drive": (lambda out: out.writestr("c:\\windows\\b", "a"), "would leave the archive's folder"),
    "a network path": (lambda out: out.writestr("\\\\host\\share", "a"), "would leave the archive's folder"),
    "another way of packing": (lambda out: out.writestr("ml-100k.user", "a" * 999, zipfile.ZIP_BZIP2),
                               "packed in another way"),
    "yet another": (lambda out: out.writestr("ml-100k.user", "a" * 999, zipfile.ZIP_LZMA), "packed in another way")}


@pytest.mark.bad_input
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused(case: str, sums: dict[str, Path], tmp_path: Path) -> None:
    add, message = HOSTILE[case]
    place = tmp_path / "deep"
    place.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(place / "a.zip", "w") as out:
            add(out)
    with pytest.raises(AmeirError, match=message):
        fetch_movielens(place / "raw", place / "a.zip")
    assert sorted(p.name for p in place.iterdir()) == ["a.zip"]


@pytest.mark.bad_input
def test_a_name_with_a_zero_ends_there(sums: dict[str, Path], tmp_path: Path) -> None:
    content = archive(sums["recbole"], "", "ml-100k.user0../../x").replace(b"ml-100k.user0", b"ml-100k.user\0")
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(AmeirError):
        fetch_movielens(tmp_path / "raw", tmp_path / "a.zip")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "grouplens", "recbole"]


@pytest.mark.bad_input
@pytest.mark.parametrize(("method", "stated"), [
    (zipfile.ZIP_DEFLATED, None), (zipfile.ZIP_DEFLATED, 5000), (zipfile.ZIP_BZIP2, 5000), (zipfile.ZIP_LZMA, 5000)])
def test_a_bomb_is_not_unpacked(method: int, stated: int | None, sums: dict[str, Path], tmp_path: Path) -> None:
    content = bomb(sums, method, 130 * 2**20)
    assert len(content) < 2**20
    (tmp_path / "a.zip").write_bytes(content if stated is None else lying(content, stated))
    tracemalloc.start()
    try:
        with pytest.raises(AmeirError, match="too many for|not a readable zip|packed in another way|checksum of"):
            fetch_movielens(tmp_path / "raw", tmp_path / "a.zip")
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()
    assert not (tmp_path / "raw").exists()


@pytest.mark.bad_input
@pytest.mark.parametrize("kind", ["tar", "tar.gz", "large", "large file", "folder of pipes", "link"])
def test_other_hostile_sources(kind: str, sums: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / "source"
    if kind.startswith("tar"):
        with tarfile.open(source, "w:gz" if kind == "tar.gz" else "w") as out:
            for name, type_ in (("../../ml-100k.user", tarfile.REGTYPE), ("ml-100k.item", tarfile.SYMTYPE),
                                ("ml-100k.inter", tarfile.LNKTYPE), ("zero", tarfile.CHRTYPE)):
                info = tarfile.TarInfo(name)
                info.type, info.linkname = type_, "/etc/passwd"
                out.addfile(info)
    elif kind == "large":
        with source.open("wb") as file:
            file.truncate(2**40)
    elif kind == "large file":
        shutil.copytree(sums["recbole"], source)
        with (source / "ml-100k.item").open("wb") as file:
            file.truncate(2**40)
    elif kind == "folder of pipes":
        source.mkdir()
        for path in sums["recbole"].iterdir():
            os.mkfifo(source / path.name)
    else:
        source.symlink_to(source)
    with pytest.raises(AmeirError, match="not a readable zip|more than|it has none of|no such file|cannot be read"):
        fetch_movielens(tmp_path / "raw", source)
    assert not (tmp_path / "raw").exists()


@pytest.mark.bad_input
@pytest.mark.parametrize("how", ["folder", "zip"])
def test_a_wrong_checksum_is_an_error(how: str, sums: dict[str, Path], tmp_path: Path) -> None:
    path = sums["recbole"] / "ml-100k.item"
    path.write_bytes(path.read_bytes()[:-3])
    source = sums["recbole"]
    if how == "zip":
        source = tmp_path / "a.zip"
        source.write_bytes(archive(sums["recbole"], "ml-100k/"))
    with pytest.raises(AmeirError, match="checksum of ml-100k.item"):
        fetch_movielens(tmp_path / "raw", source)
    assert not (tmp_path / "raw").exists(), "nothing is written unless all are right"


@pytest.mark.bad_input
def test_other_bad_sources(sums: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"no zip")
    whole = archive(sums["recbole"], "")
    (tmp_path / "cut.zip").write_bytes(whole[:len(whole) // 2])
    (sums["recbole"] / "ml-100k.item").unlink()
    for source, words in ((tmp_path / "none", "no such file"), (tmp_path / "no.zip", "not a readable zip"),
                          (tmp_path / "cut.zip", "not a readable zip"),
                          (sums["recbole"], "has ml-100k.inter, ml-100k.user of the files")):
        with pytest.raises(AmeirError, match=words):
            fetch_movielens(tmp_path / "raw", source)
    assert not (tmp_path / "raw").exists()


def wheel(sums: dict[str, Path]) -> Any:
    """A stand-in for pip that leaves a wheel behind."""

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert "shell" not in options and command[1:4] == ["-m", "pip", "download"]
        assert not any("://" in word for word in command), "pip's own configuration names the index"
        content = archive(sums["recbole"], fetch.WHEEL_FOLDER, "recbole/ml-100k.user")
        (Path(command[-1]) / "recbole-1.2.1-py3-none-any.whl").write_bytes(content)
        return subprocess.CompletedProcess(command, 0, "", "")

    return run


def refuse(*_: object, **__: object) -> None:
    raise urllib.error.URLError("Name or service not known")


def test_the_network_in_order(sums: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                              capsys: pytest.CaptureFixture[str]) -> None:
    content = archive(sums["grouplens"], "ml-100k/")
    monkeypatch.setattr(fetch, "ZIP_SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(content))
    assert fetch_movielens(tmp_path / "one") == "GroupLens"
    assert (tmp_path / "one" / "u.item").is_file()
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(content[:-1]))
    monkeypatch.setattr(subprocess, "run", wheel(sums))
    assert "wheel" in fetch_movielens(tmp_path / "two")
    assert (tmp_path / "two" / "ml-100k.item").is_file()
    said = capsys.readouterr().err
    assert "the checksum is" in said and said.count("asking") == 3 and "research use" in said


def test_an_unreachable_source_is_passed_over(sums: dict[str, Path], tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(subprocess, "run", wheel(sums))
    assert "wheel" in fetch_movielens(tmp_path / "raw")


def test_a_name_server_that_never_answers(sums: dict[str, Path], tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "CONNECT_SECONDS", -1.9)  # 0.1 s in all
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: time.sleep(3))
    monkeypatch.setattr(subprocess, "run", wheel(sums))
    start = time.monotonic()
    assert "wheel" in fetch_movielens(tmp_path / "raw")
    assert time.monotonic() - start < 2


def test_no_source_serves(sums: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(
        command, 1, "", "WARNING: Retrying\nERROR: No matching distribution found for recbole==1.2.1\n"))
    with pytest.raises(AmeirError) as error:
        fetch_movielens(tmp_path / "raw")
    for word in ("GroupLens: ", "Name or service not known", "wheel", "No matching distribution", "dataset.source="):
        assert word in str(error.value)
    assert not (tmp_path / "raw").exists()


def test_the_published_checksums(real: Path, tmp_path: Path) -> None:
    assert fetch_movielens(tmp_path / "raw", real / "ml_100k") == str(real / "ml_100k")
    # GroupLens' own ratings and users are RecBole's without the header.
    body = (real / "ml_100k" / "ml-100k.inter").read_bytes().split(b"\n", 1)[1]
    assert hashlib.sha256(body).hexdigest() == fetch.SHA256["u.data"]
    body = (real / "ml_100k" / "ml-100k.user").read_bytes().split(b"\n", 1)[1].replace(b"\t", b"|")
    assert hashlib.sha256(body).hexdigest() == fetch.SHA256["u.user"]
