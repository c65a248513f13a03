"""Properties files: what Java reads is what was meant, and other lines stay byte for byte."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ortlab.scaffold.properties import merge_properties, property_line, read_properties

ANYTHING = st.text(st.characters(), max_size=40)
LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["# a comment", "! another", "", "   ", "a=1", "b : 2", "c 3", "d=x\\", "a"]
        ),
        st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=20),
    ),
    max_size=8,
)


@given(key=ANYTHING.filter(bool), value=ANYTHING)
def test_any_key_and_value_come_back(key: str, value: str) -> None:
    line = property_line(key, value)
    assert line.isascii()
    assert "\n" not in line
    assert read_properties(line.encode()) == {key: value}


def test_the_forms_of_the_format_are_read() -> None:
    data = (
        b"a=1\n  b : two words \nc\td\n# e=5\n!f=6\ng=long \\\n   line\nh\\ i=\\u00e9\\t\n"
        b"j=caf\xc3\xa9 \xf0\x9f\x90\x99\nk\nl=a\\\\\nm=last\\"
    )
    assert read_properties(data) == {
        "a": "1", "b": "two words ", "c": "d", "g": "long line", "h i": "é\t", "j": "café 🐙",
        "k": "", "l": "a\\", "m": "last",
    }  # fmt: skip


@given(lines=LINES, values=st.dictionaries(st.sampled_from("xyz"), ANYTHING, max_size=3))
def test_a_change_reaches_its_keys_and_nothing_else(
    lines: list[str], values: dict[str, str]
) -> None:
    before = "\n".join(lines).encode()
    merged = merge_properties(before, values, {}).data
    assert read_properties(merged) == {**read_properties(before), **values}
    again = merge_properties(merged, values, values).data
    assert again == merged
    ours = [property_line(*item) for item in values.items()]
    rest = [line for line in merged.decode().split("\n") if line not in ours]
    for line in lines:
        if line.startswith(("#", "!")):
            assert line in rest


def test_comments_order_and_line_ends_stay() -> None:
    before = b"# mine\r\napp.id=old\r\nfoo = bar\r\n# end"
    merged = merge_properties(before, {"app.id": "new", "app.name": "N"}, {})
    assert merged.data == b"# mine\r\napp.id=new\r\nfoo = bar\r\n# end\r\napp.name=N\r\n"


def test_a_key_that_is_there_twice_is_there_once_afterwards() -> None:
    assert merge_properties(b"a=1\nb=2\na=3\n", {"a": "4"}, {}).data == b"b=2\na=4\n"


def test_a_key_that_is_no_longer_wanted_goes() -> None:
    merged = merge_properties(b"a=1\nb=2\n", {"a": None}, {"a": "1"})
    assert merged.data == b"b=2\n"


def test_a_value_the_user_changed_stays_until_another_is_asked_for() -> None:
    edited = b"app.versionCode=7\n"
    kept = merge_properties(edited, {"app.versionCode": "1"}, {"app.versionCode": "1"})
    assert (kept.data, kept.kept) == (edited, {"app.versionCode": "7"})
    asked = merge_properties(edited, {"app.versionCode": "8"}, {"app.versionCode": "1"})
    assert (asked.data, asked.replaced) == (b"app.versionCode=8\n", ("app.versionCode",))


def test_bytes_that_are_no_utf_8_stay_too() -> None:
    assert merge_properties(b"a=\xff\nb=1\n", {"b": "2"}, {}).data == b"a=\xff\nb=2\n"
