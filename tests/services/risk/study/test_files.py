"""The five files are read strictly, and what is wrong is said once, with its place."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.risk.score import ANSWERS, Record
from services.risk.study.files import COLUMNS, Answers, BadFiles, Person, read, read_all, write
from tests.services.risk.test_score import records

ids = st.text(st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cs", "Cc"]), min_size=1)


def folder_with(folder: Path, **files: str) -> Path:
    """The five files, empty but for their header, or as given."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, columns in COLUMNS.items():
        lines = files.get(name.partition(".")[0], "")
        (folder / name).write_text(",".join(columns) + "\n" + lines, encoding="utf-8")
    return folder


@given(people=st.dictionaries(ids, records, max_size=4))
def test_what_is_written_is_read_again(people: dict[str, Record], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("written")
    write(folder, people)
    found = read(folder).people
    assert {who: one.record for who, one in found.items()} == people
    assert list(found) == list(people)


def test_the_answers_of_a_day_are_a_sixth_file_that_is_there_only_when_there_are_any(tmp_path: Path) -> None:
    said = [Answers("a", 3, {"craving": 7, "confidence": 2}), Answers("a", 4, dict.fromkeys(ANSWERS, 0.0))]
    write(tmp_path / "with", {"a": Record(use=[1])}, said)
    write(tmp_path / "without", {"a": Record(use=[1])})
    assert read(tmp_path / "with").today == tuple(said)
    assert "today.csv" in read(tmp_path / "with").fingerprints
    assert read(tmp_path / "without").today == ()
    assert not (tmp_path / "without" / "today.csv").exists()


def test_what_is_written_says_nothing_of_who_people_are_and_how_much_they_took(tmp_path: Path) -> None:
    write(tmp_path, {"a": Record(medication=[1, 2])})
    assert (tmp_path / "people.csv").read_text() == "who,age,is_male,race,is_hispanic\na,,,,\n"
    assert (tmp_path / "medication.csv").read_text() == "who,day,amount\na,1,1\na,2,1\n"


def test_people_without_rows_and_rows_of_people_who_are_not_listed_are_read(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, people="a,44.0,Yes,White,No\nb,,,,\n", use="c,3,Heroin,TFB,1\n")
    people = read(folder).people
    assert people["a"].record == people["b"].record == Record([], [], [], [], [], [])
    assert (people["a"].age, people["a"].is_male, people["b"].age, people["c"].age) == (44.0, "Yes", None, None)
    assert people["c"].record.use == [3]


def test_each_row_goes_where_it_belongs(tmp_path: Path) -> None:
    folder = folder_with(
        tmp_path,
        use="a,2,Heroin,TFB,1\na,2,Opioid,UDS,1\na,1,Codeine,TFB,1\na,5,Thc,TFB,0\na,6,Methadone,UDS,0\na,7,Antibiotic,TFB,0\n",
        contacts="a,9,attended\na,3,attended\na,3,attended\na,4,missed\n",
        medication="a,1,8.0\na,2,0\na,3,\na,4,0.0\n",
        withdrawal="a,3,1\na,3,2\na,1,0\n",
    )
    assert read(folder).people["a"].record == Record(
        use=[1, 2], other=[5], kept=[3, 9], missed=[4], medication=[1, 3], withdrawal=[(1, 0), (3, 2)]
    )


def test_files_of_another_system_are_read_too(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    text = "extra,kind,day,who\r\nx,attended,5.0,a\r\nx,missed,6,a\r\n"
    (folder / "contacts.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    record = read(folder).people["a"].record
    assert (record.kept, record.missed) == ([5], [6])


def test_what_statisticians_write_for_not_known_is_read_as_not_known(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, people="a,NA,NA,NA,NA\n", medication="a,1,NA\n")
    found = read(folder).people["a"]
    assert found == Person(found.record)
    assert found.record.medication == [1]


def test_lines_with_nothing_on_them_are_passed_over(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, contacts="\na,3,attended\n\na,4,missed\n\n")
    record = read(folder).people["a"].record
    assert (record.kept, record.missed) == ([3], [4])


def test_a_column_that_is_there_twice_is_named_and_none_of_the_two_is_guessed(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    (folder / "contacts.csv").write_text("who,day,day,kind\na,1,2,attended\n")
    with pytest.raises(BadFiles, match=r"contacts\.csv, line 1: the column day is there twice"):
        read(folder)


@pytest.mark.parametrize(
    ("file", "lines", "words"),
    [
        ("people", "a,old,Yes,White,No\n", "people.csv, line 2, column age: 'old' must be a number from 0 to 130"),
        ("people", "a,-1,Yes,White,No\n", "people.csv, line 2, column age: '-1' must be a number from 0 to 130"),
        ("withdrawal", "a,1,NA\n", "withdrawal.csv, line 2, column level: 'NA' must be a whole number"),
        ("people", "a,1,M,White,No\n", "people.csv, line 2, column is_male: 'M' must be one of Yes, No, nothing"),
        ("people", "a,1,,,x\n", "people.csv, line 2, column is_hispanic: 'x' must be one of"),
        ("people", "a,,,,\na,,,,\n", "people.csv, line 3, column who: 'a' is here twice"),
        ("people", ",,,,\n", "people.csv, line 2, column who: '' must not be empty"),
        ("people", "a,,,\n", "people.csv, line 2: 4 columns, and must be 5"),
        ("use", "a,1,Thc,TFB,0\na,x,Thc,TFB,1\n", "use.csv, line 3, column day: 'x' must be a whole number"),
        ("use", "a,1.5,Thc,TFB,1\n", "use.csv, line 2, column day: '1.5' must be a whole number"),
        ("use", "a,inf,Thc,TFB,1\n", "use.csv, line 2, column day: 'inf' must be a whole number"),
        ("use", "a,,Thc,TFB,1\n", "use.csv, line 2, column day: '' must be a whole number"),
        ("use", "a,1,Thc,TFB,2\n", "use.csv, line 2, column opioid: '2' must be a whole number from 0 to 1"),
        ("use", "a,1,,TFB,0\n", "use.csv, line 2, column what: '' must not be empty"),
        ("contacts", "a,1,came\n", "contacts.csv, line 2, column kind: 'came' must be one of attended, missed"),
        ("medication", "a,1,lots\n", "medication.csv, line 2, column amount: 'lots' must be a number of 0 or more"),
        ("medication", "a,1,nan\n", "medication.csv, line 2, column amount: 'nan' must be a number of 0 or more"),
        ("withdrawal", "a,1,4\n", "withdrawal.csv, line 2, column level: '4' must be a whole number from 0 to 3"),
        ("withdrawal", 'a,1,"2\n', "withdrawal.csv, line 3: not a table in UTF-8"),
    ],
)
def test_a_bad_value_is_one_error_that_names_file_line_and_column(
    file: str, lines: str, words: str, tmp_path: Path
) -> None:
    folder = folder_with(tmp_path / "trial", **{file: lines})
    with pytest.raises(BadFiles) as caught:
        read(folder)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(folder))


@pytest.mark.parametrize("name", COLUMNS)
def test_a_file_or_a_column_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    (folder / name).write_text("who\n")
    with pytest.raises(BadFiles, match=f"{name}, line 1: the column {COLUMNS[name][1]} is missing"):
        read(folder)
    (folder / name).write_text("")
    with pytest.raises(BadFiles, match=f"{name}, line 1: the column who is missing"):
        read(folder)
    (folder / name).unlink()
    with pytest.raises(BadFiles, match=rf"{name} cannot be read \(FileNotFoundError\); it must have who, "):
        read(folder)


def test_a_bad_answer_is_named_too(tmp_path: Path) -> None:
    write(tmp_path, {"a": Record()}, [Answers("a", 3, {"craving": 11})])
    with pytest.raises(BadFiles, match="today.csv, line 2, column craving: '11' must be a number from 0 to 10"):
        read(tmp_path)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    (folder / "use.csv").write_bytes(b"who,day,what,source,opioid\na,1,\xff\xfe,TFB,1\n")
    with pytest.raises(BadFiles, match=r"use\.csv, line \d+: not a table in UTF-8"):
        read(folder)


def test_a_folder_is_a_trial_or_holds_several(tmp_path: Path) -> None:
    folder_with(tmp_path / "both" / "one")
    folder_with(tmp_path / "both" / "two")
    (tmp_path / "both" / "notes").mkdir()
    assert [trial.name for trial in read_all([tmp_path / "both"])] == ["one", "two"]
    assert [trial.name for trial in read_all([tmp_path / "both" / "two"])] == ["two"]
    with pytest.raises(BadFiles, match="Two folders are called two"):
        read_all([tmp_path / "both", tmp_path / "both" / "two"])
    with pytest.raises(BadFiles, match="notes holds none of people.csv"):
        read_all([tmp_path / "both" / "notes"])
    with pytest.raises(BadFiles, match="nowhere is no folder"):
        read_all([tmp_path / "nowhere"])


def test_a_fingerprint_is_that_of_the_bytes(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "one", use="a,1,Thc,TFB,1\n")
    prints = read(folder).fingerprints
    assert list(prints) == list(COLUMNS)
    assert prints["use.csv"] == hashlib.sha256((folder / "use.csv").read_bytes()).hexdigest()
    shutil.copytree(folder, tmp_path / "two")
    assert read(tmp_path / "two").fingerprints == prints
