import json

import yaml


def test_table_block_and_picture(folder, trunkline):
    status, out, err = trunkline("lr-range", "feed.yaml", "--steps", "20", "-o", "rates.yaml", "--plot", "rates.svg")
    assert status == 0
    block = yaml.safe_load(out)["optimizer"]["subnets"]
    assert block.keys() == {"embedding", "shared", *(f"tower.{task}" for task in ("click", "dwell", "buy", "topic"))}
    assert (folder / "rates.yaml").read_text() == out
    assert (folder / "rates.svg").read_text().startswith("<svg")
    assert "20 steps: shared" in err
    assert "configured" in err

    status, _, err = trunkline("lr-range", "feed.yaml", "--steps", "20", "-o", "rates.yaml")
    assert status == 2
    assert "rates.yaml exists" in err
    status, out, err = trunkline(
        "lr-range", "feed.yaml", "--steps", "20", "-o", "rates.yaml", "--overwrite", "--quiet", "--json"
    )
    assert (status, err) == (0, "")
    assert json.loads(out)["subnets"].keys() == block.keys()

    raw = yaml.safe_load((folder / "feed.yaml").read_text())
    raw["optimizer"]["subnets"] = block
    (folder / "rated.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    assert trunkline("train", "rated.yaml", "--quiet", "--out", "run")[0] == 0


def test_what_is_wrong_ends_with_status_2(folder, trunkline):
    for arguments, message in (
        (["--steps", "3"], "at least 20 steps"),
        (["--plot", "nowhere/x.svg"], "nowhere does not exist"),
        (["--set", "optimizer.lr"], "write KEY=VALUE"),
    ):
        status, out, err = trunkline("lr-range", "feed.yaml", *arguments)
        assert status == 2
        assert out == ""
        assert message in err
