"""Passwords in URLs of databases, which no message of the command line repeats."""

import pytest


@pytest.mark.parametrize(
    "url",
    ["mysql://a:hush@b#t", "postgresql://a:1/hush@h/d#t", "postgresql://h/d?password=hush#t", "jdbc:mysql://a:hush@b"],
)
def test_a_password_is_in_no_message(url, trunkline, folder):
    before = {one.name for one in folder.iterdir()}
    settings = (f"data.train={url}", f"data.train=[{url}", f"data.nope={url}", f"training.epochs={url}", url)
    for command in (
        ("init", url, "--label", "y"),
        ("train", url),
        *(("train", "feed.yaml", "--set", one) for one in settings),
    ):
        status, out, err = trunkline(*command)
        assert (status, out) == (2, "")
        assert err
        assert "hush" not in err
    assert {one.name for one in folder.iterdir()} == before
