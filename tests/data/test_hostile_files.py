"""Files that no loader expects: every one ends in a message that names the file, none in a traceback or without end.

``AMEIR_EXAMPLES=1000 pytest -m bad_input`` tries all combinations of loaders and contents, else a third.
"""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import signal
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ameir_pl.architecture_file import read_architecture
from ameir_pl.data import DATASETS
from ameir_pl.data.infer import infer_description
from ameir_pl.errors import AmeirError
from tests.data.alimama_reference import make as write_alimama
from tests.data.make import write_movielens
from tests.data.test_table_bad_input import GOOD, PAST, good

EVERY = int(os.environ.get("AMEIR_EXAMPLES", "0")) >= 1000
"""Whether all combinations are tried, which takes a minute or two."""
SECONDS = 30
"""What no bad file may take longer than."""
JOIN = GOOD.replace("fields:", "join: [{input: s.csv, on: item}]\nfields:\n  - {name: shop, dtype: int}", 1)


def one(name: str, **settings: Any) -> Callable[[Path, Path], Any]:
    """Return what loads a dataset of one file."""
    return lambda path, out: DATASETS.get(name)(raw=out / "none", encoded=out / "encoded", source=path,
                                                **settings).prepare()


def beside(name: str, **settings: Any) -> Callable[[Path, Path], Any]:
    """Return what loads the dataset in a file's folder."""
    return lambda path, out: DATASETS.get(name)(raw=path.parent, encoded=out / "encoded", **settings).prepare()


def described(text: str) -> Callable[[Path, Path], Any]:
    """Return what loads a described table in a file's folder."""
    def load(path: Path, out: Path) -> Any:
        description = path.parent / "table.yaml"
        if path != description:
            description.write_text(text)
        return DATASETS.get("table")(raw="none", encoded=out / "encoded", source=description).prepare()
    return load


PARQUET = GOOD.replace("a.csv", "a.parquet")
LOADERS: dict[str, tuple[str, Callable[[Path, Path], Any]]] = {
    **{name: ("rows.txt", one(name)) for name in ("criteo", "avazu")},
    **{name: ("rows.txt", one(name, max_len=5)) for name in ("beauty", "steam", "amazon")},
    **{f"movielens {name}": (f"movielens/recbole/{name}", beside("movielens"))
       for name in ("ml-100k.inter", "ml-100k.item", "ml-100k.user")},
    **{f"movielens {name}": (f"movielens/grouplens/{name}", beside("movielens"))
       for name in ("u.data", "u.item", "u.user")},
    **{f"alimama {name}": (f"alimama/{name}.csv", beside("alimama", user_share=1.0))
       for name in ("raw_sample", "ad_feature", "user_profile", "behavior_log")},
    "table": ("table/a.csv", described(GOOD)), "table parquet": ("table/a.parquet", described(PARQUET)),
    "table events": ("table/e.csv", described(GOOD + PAST)), "table side": ("table/s.csv", described(JOIN)),
    "description": ("table/table.yaml", described("")),
    "infer": ("table/a.csv", lambda path, out: infer_description(str(path), "click", out / "x.yaml")),
    "architecture": ("mine.yaml", lambda path, out: read_architecture(path))}
"""What is replaced by a hostile file, and what reads it."""

MARK = b"\xef\xbb\xbf"
_random = random.Random(1)
NOISE = _random.randbytes(20_000)
_zip = io.BytesIO()
with zipfile.ZipFile(_zip, "w") as _file:
    _file.writestr("train.txt", "1\t2\n")
_pages = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head>\n<body>No such file</body></html>\n"
CONTENTS = {
    "nothing": b"", "a blank line": b"\n", "blanks": b"   \n\t\n  \n" * 50, "noise": NOISE, "zeros": bytes(5000),
    "a zero in a line": b"1,2,3\n4,\0,6\n7,8,9\n", "a byte order mark alone": MARK, "two of them": MARK + MARK + b"\n",
    "UTF-16": "user,item,time\n1,2,3\n".encode("utf-16"), "UTF-32": "1 2 3\n".encode("utf-32"),
    "latin-1": "größe,straße\n1,2\n".encode("latin-1"), "half a character": b"1,2\n3,\xc3\n",
    "the start of gzip": b"\x1f\x8b", "half of gzip": gzip.compress(NOISE)[:9000],
    "gzip of noise": gzip.compress(NOISE), "gzip of nothing": gzip.compress(b""),
    "gzip with noise behind": gzip.compress(b"1,2,3\n" * 50) + NOISE[:200],
    "gzip in gzip": gzip.compress(gzip.compress(b"1 2 3 4\n" * 50)), "a zip": _zip.getvalue(),
    "the start of Parquet": b"PAR1" + NOISE[:500] + b"PAR1", "a picture": b"\x89PNG\r\n\x1a\n" + NOISE[:900],
    "a web page": _pages, "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64
    + b"\nsize 45840617\n", "a pickle": b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x93.",
    "carriage returns": b"a,b,c\r1,2,3\r4,5,6\r", "a line without end": b"a" * 3_000_000,
    "a number without end": b"1" * 3_000_000, "commas without end": b"," * 3_000_000,
    "tabs without end": b"\t" * 3_000_000 + b"\n", "a quotation without end": b'"a,b\n' + b"1,2\n" * 20_000,
    "quotation marks": b'"""' * 1001, "brackets": b"[" * 30_000, "braces": b"{" * 30_000,
    "JSON without end": b'{"a":' * 50_000, "a YAML alias of aliases": b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n",
    "a YAML tag": b"!!python/object/apply:os.system ['touch ran']\n", "a null": b"null\n", "a word": b"hello\n",
    "one number": b"5\n", "zeroes": b"0\n" * 3000, "minus": b"-1 -2 -3\n" * 300, "huge": b"9" * 40 + b" 1 2\n"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good files, to which one bad one is put."""
    root = tmp_path_factory.mktemp("whole")
    for form in ("recbole", "grouplens"):
        write_movielens(root / "movielens" / form, form=form)  # type: ignore[arg-type]
    write_alimama(root / "alimama")
    (root / "table").mkdir()
    good().write_csv(root / "table/a.csv")
    good().write_parquet(root / "table/a.parquet")
    pl.DataFrame({"user": [1, 1, 2], "t": [5, 3, 4], "item": ["i1", "i2", "i3"]}).write_csv(root / "table/e.csv")
    pl.DataFrame({"item": ["i1", "i2"], "shop": [1, 2]}).write_csv(root / "table/s.csv")
    return root


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """Fail what hangs."""
    def late(*_: object) -> None:
        raise TimeoutError(f"no answer within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def place(whole: Path, tmp_path: Path, name: str) -> Path:
    """Return where the file of a loader goes, the others beside it."""
    path = tmp_path / "in" / name
    if "/" in name:
        shutil.copytree(whole / Path(name).parent, path.parent)
        path.unlink(missing_ok=True)
    else:
        path.parent.mkdir()
    return path


def refused(load: Callable[[Path, Path], Any], path: Path, out: Path) -> str:
    """Return the message; nothing may be left."""
    with pytest.raises(AmeirError) as caught:
        load(path, out)
    assert not [p for p in (out / "encoded").glob("*") if p.name != ".checksums.json"]
    assert not list((out / "encoded").glob(".*.part")) and "Traceback" not in str(caught.value)
    return str(caught.value)


PAIRS = [(loader, content) for i, loader in enumerate(LOADERS) for j, content in enumerate(CONTENTS)
         if EVERY or (i + j) % 3 == 0]
"""A third of them, in which each loader meets a third of the contents and each content a third of the loaders."""


@pytest.mark.bad_input
@pytest.mark.parametrize(("loader", "content"), PAIRS)
def test_contents(loader: str, content: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name, load = LOADERS[loader]
    path = place(whole, tmp_path, name)
    path.write_bytes(CONTENTS[content])
    message = refused(load, path, tmp_path)
    assert path.name in message and len(message) < 2000, message[:3000]
    assert not (tmp_path / "ran").exists()


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.symlink_to(path)


def _nowhere(path: Path) -> None:
    path.symlink_to(path.parent / "gone")


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # its whole path may be longer than a socket's can be
    with socket.socket(socket.AF_UNIX) as one_end:
        one_end.bind(path.name)
    os.chdir(here)


@pytest.mark.bad_input
@pytest.mark.parametrize("put", [_folder, _pipe, _loop, _nowhere, _device, _socket])
@pytest.mark.parametrize("loader", LOADERS)
def test_what_is_no_file(loader: str, put: Callable[[Path], None], whole: Path, tmp_path: Path) -> None:
    name, load = LOADERS[loader]
    path = place(whole, tmp_path, name)
    put(path)
    assert path.name in refused(load, path, tmp_path) or name == "rows.txt"


@pytest.mark.bad_input
@pytest.mark.parametrize("loader", LOADERS)
def test_a_file_that_may_not_be_read(loader: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                     ) -> None:
    name, load = LOADERS[loader]
    path = place(whole, tmp_path, name)
    source = whole / name
    shutil.copy(source, path) if source.is_file() else path.write_text("1,2,3\n")
    opened, arrow = io.open, pl.read_parquet

    def denied(file: Any, *more: Any, **named: Any) -> Any:
        if str(file) == str(path):
            raise PermissionError(13, "Permission denied", str(file))
        return opened(file, *more, **named)

    monkeypatch.setattr(io, "open", denied)
    monkeypatch.setattr("builtins.open", denied)
    if path.suffix == ".parquet":  # Arrow opens it itself
        monkeypatch.setattr("pyarrow.parquet.ParquetFile", denied)
    message = refused(load, path, tmp_path)
    assert path.name in message and "Permission denied" in message
    assert arrow is pl.read_parquet


NAMES = ["a b", "[a]", "*", "ü 🙂", "100%", "-x", "a'b\"c", "a{b}", "$HOME", "#x", "~", "a,b", "a=b", "a;b", "x" * 120]


@pytest.mark.parametrize("folder", NAMES)
def test_odd_names_are_names(folder: str, whole: Path, tmp_path: Path) -> None:
    root = tmp_path / folder
    shutil.copytree(whole, root)
    for loader in ("movielens ml-100k.inter", "movielens u.data", "alimama raw_sample", "table", "table parquet",
                   "infer"):
        name, load = LOADERS[loader]
        assert load(root / name, root / "out")
    (root / "pairs.txt").write_text("".join(f"{u} {(u * 7 + i) % 150}\n" for u in range(60) for i in range(9)))
    assert one("beauty", max_len=5)(root / "pairs.txt", root / "out")


NUMBERS = ["99999999999999999999", "-99999999999999999999", "1e400", "-1e400", "1e-400", "0x10", "1_000", "１２", "٣",
           "+5", " 5", "5 ", "5.0", "5.5", "NaN", "-inf", "Infinity", "true", "None", "\\N", "'5'", "5e0", "--5", "",
           "9223372036854775807", "9223372036854775808", "2147483648", "4294967296", "00", "-0", "1,5"]
CELLS = [*(("movielens ml-100k.inter", "\t", column) for column in (0, 2, 3)),
         ("movielens u.user", "|", 1), ("alimama raw_sample", ",", 1), ("alimama ad_feature", ",", 5),
         ("table", ",", 2), ("table events", ",", 1)]


@pytest.mark.parametrize("number", NUMBERS)
def test_odd_numbers_are_read_or_named(number: str, whole: Path, tmp_path: Path) -> None:
    for i, (loader, separator, column) in enumerate(CELLS):
        (tmp_path / str(i)).mkdir()
        odd_number(loader, separator, column, number, whole, tmp_path / str(i))


def odd_number(loader: str, separator: str, column: int, number: str, whole: Path, tmp_path: Path) -> None:
    name, load = LOADERS[loader]
    path = place(whole, tmp_path, name)
    lines = (whole / name).read_text(encoding="latin-1").split("\n")
    words = lines[2].split(separator)
    words[column] = number
    lines[2] = separator.join(words)
    path.write_text("\n".join(lines), encoding="utf-8")
    try:
        load(path, tmp_path)
    except AmeirError as error:
        assert str(path.parent) in str(error) and len(str(error)) < 2000  # noqa: PT017
