"""Names of tasks in any script, and what columns' names become."""

import unicodedata

import pytest

from trunkline.errors import UserError
from trunkline.tasks import Regression
from trunkline.tasks.names import is_task_name, task_name

NAMES = ["y", "y_", "_y", "a-b", "click2", "отток", "Gekündigt", "売上", "बिक्री", "مبيعات", "ยอดขาย", "Ω"]
COLUMNS = {
    "Loss %": "Loss",
    "Loss $": "Loss",
    "%": "task",
    "": "task",
    "2nd": "_2nd",
    "-x": "_-x",
    "a b.c": "a_b_c",
    "tower.x": "tower_x",
    "сумма, ₽": "сумма",
    "../y": "___y",
    "x\n": "x",
}


@pytest.mark.parametrize("name", NAMES)
def test_letters_of_any_script_stay_as_they_are(name):
    assert Regression(name=name).name == name
    assert task_name(name) == name
    assert task_name(unicodedata.normalize("NFD", name)) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("column", COLUMNS)
def test_what_no_name_holds_is_replaced(column):
    assert task_name(column) == COLUMNS[column]
    assert is_task_name(task_name(column))


def test_no_two_are_alike():
    taken: list[str] = []
    for column in [*COLUMNS, *NAMES, *COLUMNS]:
        taken.append(task_name(column, taken))
    assert len({*taken}) == len(taken)
    assert all(map(is_task_name, taken))


@pytest.mark.parametrize("name", ["-x", "a b", "a.b", "a/b", "", "x\n", "x\u200b", "a:b"])
def test_other_names_are_refused(name):
    with pytest.raises(UserError, match="task name"):
        Regression(name=name)
