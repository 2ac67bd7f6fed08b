import pytest
import yaml

from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.tables import make_feature

FEATURES = {
    "user": "categorical",
    "item": {"kind": "categorical", "dim": 4, "min_count": 3},
    "host": {"kind": "hashed", "rows": 100},
    "tags": "bag",
    "words": {"kind": "bag", "pool": "sum", "rows": 7, "dim": 2},
    "history": {"kind": "sequence", "target": "item", "pool": "attention", "length": 9},
    "hosts": {"kind": "sequence", "target": "host"},
    "queries": "sequence",
    "terms": {"kind": "sequence", "rows": 5, "min_count": None},
    "picture": "vector",
    "sound": {"kind": "vector", "length": 3},
    "price": {"kind": "numeric", "log": True},
    "new": "boolean",
    "when": "datetime",
}


def config(features):
    return Config.make({"tasks": {"click": "binary"}, "features": features})


def test_a_config_and_its_features_say_the_same():
    sections = config(FEATURES).features
    features = [make_feature(name=name, **section.model_dump()) for name, section in sections.items()]
    written = {feature.name: {"kind": feature.kind, **feature.options} for feature in features}
    assert config(written).features == sections
    assert config(yaml.safe_load(config(FEATURES).to_yaml())["features"]).features == sections
    assert written["tags"] == {"kind": "bag", "pool": "mean", "dim": 8, "min_count": 1}
    assert written["hosts"] == {"kind": "sequence", "length": 50, "pool": "mean", "target": "host"}
    assert written["queries"] == {"kind": "sequence", "length": 50, "pool": "mean", "dim": 8, "min_count": 1}


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({"h": "hashed"}, "features.h: rows is missing; hashed needs it"),
        ({"h": {"kind": "hashed", "rows": 2**31}}, "features: feature h: rows 2147483648; it must be at most"),
        (
            {"b": {"kind": "bag", "pool": "attention"}},
            "features.b: pool of bag: 'attention': Input should be",
        ),
        ({"s": {"kind": "sequence", "pool": "attention"}}, "feature s: pool attention needs target"),
        ({"s": {"kind": "sequence", "dim": 0}}, "feature s: dim 0; it must be at least 1"),
        ({"user": "categorical", "s": {"kind": "sequence", "target": "usr"}}, "did you mean 'user'"),
        ({"user": "numeric", "s": {"kind": "sequence", "target": "user"}}, "no categorical or hashed feature"),
        ({"b": {"kind": "bag", "rows": 3, "min_count": 2}}, "min_count 2 with rows"),
    ],
)
def test_what_is_wrong_with_features_is_said_before_a_row_is_read(features, words):
    with pytest.raises(UserError, match=words):
        config(features)
