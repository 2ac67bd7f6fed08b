import json


def test_a_config_and_then_its_run(folder, trunkline):
    status, out, err = trunkline("diagnose", "feed.yaml", "--steps", "8", "--set", "optimizer.lr=3")
    assert (status, err) == (0, "")
    assert "looked at: " in out
    assert "change: " in out
    status, out, _ = trunkline("train", "feed.yaml", "--quiet", "--out", "run")
    assert status == 0
    status, out, _ = trunkline("diagnose", "run", "--json")
    assert status == 0
    assert json.loads(out).keys() == {"findings", "looked", "skipped"}


def test_what_is_wrong_ends_with_status_2(folder, trunkline):
    status, _, err = trunkline("diagnose", "nothing.yaml")
    assert status == 2
    assert "nothing.yaml does not exist" in err
    status, _, err = trunkline("diagnose", str(folder))
    assert status == 2
    assert "is no run folder" in err
