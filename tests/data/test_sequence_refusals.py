"""Files of sequences that cannot be read: each is refused with file, line and column, and nothing is written."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ameir_pl.data import DATASETS
from ameir_pl.errors import AmeirError
from tests.data.sequence_helpers import prepare, python2

pytestmark = pytest.mark.bad_input

LARGEST = 2**63 - 1
STEAM = ("{u'hours': 9.1, u'username': u'Chaos Syren', u'product_id': u'725280', u'page_order': 0, "
         "u'date': u'2017-12-17', u'text': u'This would not be', u'early_access': False, u'page': 1}\n")
AMAZON = ('{"reviewerID": "A3BY5KCNQZXV5U", "asin": "0594451647", "helpful": [3, 3], "reviewText": "Works.", '
          '"overall": 5.0, "unixReviewTime": 1390176000, "reviewTime": "01 20, 2014"}\n')
RATINGS = "A3BY5KCNQZXV5U,0594451647,5.0,1390176000\n"
INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"


@pytest.mark.parametrize(("text", "words"), [
    ("", ["empty"]),
    ("\n  \n", ["empty"]),
    ("1 2 3\n2\n", ["line 2", "'2'", "without an item", "cut off"]),
    ("1 2 3\n1 4 5 6\n", ["line 2", "user 1", "earlier line"]),
    ("1 2 3\n2 4 x 6\n", ["line 2", "column 'item'", "'x'"]),
    ("1 2 3\n2 4 -6 6\n", ["line 2", "column 'item'", "'-6'", "from 0 to"]),
    (f"1 2 3\n2 4 {LARGEST + 1}\n", ["line 2", "column 'item'", str(LARGEST + 1)]),
    ("1 2\n1 three\n", ["line 2", "column 'item'", "'three'"]),
    ("1 2\n1 -3\n", ["line 2", "column 'item'", "'-3'"]),
    (f"1 2\n{LARGEST + 1} 3\n", ["line 2", "column 'user'", str(LARGEST + 1)]),
    ("1 2\n1 3\n1 4 5\n", ["line 3", "3 columns where 2"]),
    ("one 2\n1 3\n", ["line 1", "column 'user'", "'one'"]),
    ("1 2\n2 3\n", ["none is left", "pairs"]),
    (RATINGS * 2 + "A3BY5KCNQZXV5U,0594451647,5\n", ["line 3", "3 columns where 4"]),
    (RATINGS + RATINGS.replace("5.0", "good"), ["line 2", "column 'rating'", "'good'"]),
    (RATINGS.replace("5.0", "good") + RATINGS, ["line 1", "column 'rating'", "'good'"]),
    (RATINGS + RATINGS.replace("1390176000", "later"), ["line 2", "column 'timestamp'", "'later'"]),
    (RATINGS + RATINGS[14:], ["line 2", "column 'user'", "nothing", "an id"]),
    ("user,item,rating,timestamp\n", ["nothing follows"]),
    ("user,item,rating,timestamp\nu,i,3,5\nuser,item,rating,timestamp\n",
     ["line 3", "column 'rating'", "repeats the header"]),
    (INTER + "u\ti\t3\t5\n" + INTER, ["line 3", "column 'rating:float'", "repeats the header"]),
    ("name,age,city\nBob,3,Rome\n", ["line 1", "no column for user, item, timestamp", "name, age, city", "columns="]),
    ("1,2,3\n4,5,6\n", ["3 columns, without a header", "columns="]),
    ("a,b,5,10\n", ["ids do not tell", "dataset.options.columns=[item,user,rating,timestamp]"]),
    ("user,item,item,timestamp\n1,2,3,4\n", ["comes twice", "item"]),
    (RATINGS, ["none is left", "ratings"]),
    ("0::Ironbound\n1::Half-Life\n", ["line 1", "'0::Ironbound'", "id::name"]),
    ('{"4": [1, 2, 3], "83": [4, 5, 6]}', ["line 1", "no review", "2 keys: 4, 83"]),
    ('{\n"4": [1, 2, 3]}', ["line 1", "several lines"]),
    ('[{"asin": 1}]', ["line 1", "JSON array"]),
    ("{u'user_id': u'7', u'reviews': [{u'item_id': u'1', u'posted': u'Posted November 5, 2011.'}]}\n",
     ["nested", "australian_user_reviews", "steam_reviews.json.gz"]),
    (STEAM + STEAM[:80] + "\n", ["line 2", "no record"]),
    (STEAM + "[1, 2]\n", ["line 2", "no record"]),
    (STEAM + "{u'a': open('x')}\n", ["line 2", "no record"]),
    (STEAM + "{1, 2}\n", ["line 2", "no record"]),
    (STEAM + STEAM.replace("u'date'", "u'day'"), ["line 2", "no key 'date'"]),
    (STEAM + STEAM.replace("2017-12-17", "yesterday"), ["line 2", "column 'date'", "'yesterday'"]),
    (STEAM + STEAM.replace("u'725280'", "[]"), ["line 2", "column 'product_id'", "nothing"]),
    (STEAM + STEAM.replace("u'725280'", "u''"), ["line 2", "column 'product_id'"]),
    (AMAZON + AMAZON.replace("asin", "isbn"), ["line 2", "no key 'asin'"]),
    (AMAZON + AMAZON.replace("1390176000", '"soon"'), ["line 2", "column 'unixReviewTime'", "'soon'"]),
    (AMAZON + AMAZON.replace('"0594451647"', '"\\ud800"'), ["line 2", "no record", "surrogate"]),
    (AMAZON + AMAZON.replace("A3BY5KCNQZXV5U", "A\\udfffB"), ["line 2", "no record", "surrogate"]),
    (STEAM + STEAM.replace("725280", "\\ud800"), ["line 2", "no record", "surrogate"]),
    (AMAZON + AMAZON[:50] + "\n", ["line 2", "no record"]),
    (AMAZON + "5\n", ["line 2", "no record"]),
    (STEAM, ["none is left", "reviews"]),
    ("history\tnext\n1 2\tx\n", ["line 2", "column 'next'", "'x'"]),
    ("history\tnext\n1 b\t3\n", ["line 2", "column 'history'", "'b'"]),
    ("history\tnext\n1 2\t-3\n", ["line 2", "column 'next'", "'-3'"]),
    ("history\tnext\n1 2\t3\n1 2 3\n", ["line 3", "1 columns where 2"]),
])
def test_bad_files_are_refused(text: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text(text)
    with pytest.raises(AmeirError) as error:
        prepare(path, tmp_path / "encoded")
    assert all(word in str(error.value) for word in (str(path), *words, "dataset.source=FILE")), str(error.value)
    assert not [*(tmp_path / "encoded").glob("*")] and not [*(tmp_path / "encoded").glob(".*.part")]


@pytest.mark.parametrize("text", [STEAM * 200, AMAZON * 200, RATINGS * 500, "1 2\n" * 3000])
def test_damaged_bytes_are_refused(text: str, tmp_path: Path) -> None:
    path, whole = tmp_path / "s.gz", gzip.compress(text.encode())
    flipped = bytearray(whole)
    flipped[-8] ^= 255  # the checksum
    lines = text.encode().split(b"\n")
    lines[2] = lines[2][:-1] + b"\xe9"
    for data, words in ((whole[:-20], ["cut off"]), (bytes(flipped), ["damaged"]),
                        (b"\n".join(lines), ["line 3", "not UTF-8", "0xe9"])):
        path.write_bytes(data)
        with pytest.raises(AmeirError) as error:
            prepare(path, tmp_path / "encoded")
        assert all(word in str(error.value) for word in (str(path), *words)), str(error.value)
        assert not [*(tmp_path / "encoded").glob("*")]


@pytest.mark.parametrize(("good", "bad", "count"), [
    ([f"{u} 1 2 {u + 3}" for u in range(9)], ["77", "5 6 7", "90 1 x 3", "91 1 -3 3", "y 1 2", "92 -1 -2"], 6),
    ([f"{u} {i}" for u in range(9) for i in range(4)], ["7", "7 8 9", "x 1", f"1 {LARGEST + 1}"], 4),
    (["history\tnext", *(f"1 2 {i}\t5" for i in range(9))], ["1 2", "1 y 2\t3", "1 2\t-1"], 3),
    (["user,item,timestamp", *(f"u{u},i{i},{i}" for u in range(9) for i in range(5))],
     ["u1,i1", "u1,i1,soon", ",i1,3", "u1,,3", "user,item,timestamp", "u1,i1,nan"], 6),
    ([python2({"username": f"u{u}", "product_id": f"{i}", "date": f"2017-01-1{i}"}) for u in range(9)
      for i in range(5)], ["{", "[]", "{'username': 1}", "{'username': 'u1', 'product_id': None, 'date': '2017-01-01'}",
                           "{'username': 'u1', 'product_id': '1', 'date': '2017-02-30'}"], 5),
])
def test_bad_lines_are_skipped_and_counted(good: list[str], bad: list[str], count: int, tmp_path: Path) -> None:
    files = [tmp_path / "good", tmp_path / "bad"]
    files[0].write_text("\n".join(good) + "\n")
    files[1].write_text("\n".join(good + bad) + "\n")
    clean, skipped = (prepare(path, tmp_path / "encoded", on_bad_row="skip") for path in files)
    assert (skipped.columns["values"] == clean.columns["values"]).all()
    found = skipped.manifest["notes"]
    assert found["bad rows, skipped"] == count
    first = found["the first of them"]
    assert len(first) == min(count, 5)
    assert all(f"{files[1]}, line {len(good) + 1 + i}" in "".join(first) for i in range(min(count, 5)))
    assert "bad rows, skipped" not in clean.manifest["notes"]


def test_missing_files_are_named(tmp_path: Path) -> None:
    for name, settings, words in (
            ("steam", {}, ["steam_reviews.json", "Steam.txt", "cseweb.ucsd.edu", "no open licence", "data generate"]),
            ("beauty", {}, ["Beauty.txt", "ratings_Beauty.csv", "reviews_Beauty_5.json", "data generate"]),
            ("beauty", {"source": tmp_path / "b.csv"}, ["b.csv"]),
            ("amazon", {}, ["which category", "category=Video_Games", "dataset.source=FILE", "nijianmo"]),
            ("amazon", {"category": "Toys"}, ["reviews_Toys_5.json", "Toys_5.json", "ratings_Toys.csv", "Toys.csv"])):
        with pytest.raises(AmeirError) as error:
            DATASETS.get(name)(raw=tmp_path, encoded=tmp_path / "encoded", **settings).prepare()
        assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(("name", "words"), [
    ("steam/steam_id2name.txt", ["line 1", "'0::Ironbound'", "id::name"]),
    ("amazon_beauty/Beauty_item2attributes.json", ["line 1", "12101 keys", "reviewerID, asin, unixReviewTime"]),
    ("criteo/criteo_rows_90000_99999_intcoded.csv", ["line 1", "no column for user, item, timestamp"]),
    ("criteo/criteo_index_test_10000.csv", ["line 1", "columns, without a header"]),
])
def test_real_files_of_another_kind_are_refused(name: str, words: list[str], real: Path, tmp_path: Path) -> None:
    with pytest.raises(AmeirError) as error:
        prepare(real / name, tmp_path)
    assert all(word in str(error.value) for word in (str(real / name), *words)), str(error.value)
