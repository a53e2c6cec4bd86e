from rewards.heads.stored_json import content_version, nine_digits, write_in_one_step


def test_numbers_are_rounded_to_nine_digits_and_stay_so():
    rounded = nine_digits({"weight": [1 / 3, 123456.7891234], "n": 3})
    assert rounded == {"weight": [0.333333333, 123456.789], "n": 3}
    assert nine_digits(rounded) == rounded


def test_the_version_depends_on_the_content_but_not_on_the_order_of_keys():
    assert content_version({"a": 1, "b": 2}) == content_version({"b": 2, "a": 1})
    assert content_version({"a": 1}) != content_version({"a": 2})
    assert len(content_version([])) == 12


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "rewards.json"
    for text in ("first", "second"):
        write_in_one_step(path, text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]
