"""What `--vary` means, and what a network of one task is made of."""

import pytest

from trunkline import UserError
from trunkline.config import Config
from trunkline.insight.comparison.single_task import alone_config, alone_variants
from trunkline.insight.comparison.variants import make_variants, name_of, parse_vary
from trunkline.nn.inputs import Inputs

TASKS = {
    "click": "binary",
    "dwell": {"kind": "lognormal", "where": "click"},
    "buy": {"kind": "binary", "reads": ["click"]},
}
INPUTS = Inputs(rows=(5, 4), widths=(3, 2), numbers=2, names=("place", "page"))


def config(**sections):
    return Config.make({"tasks": TASKS, **sections})


@pytest.mark.parametrize(
    ("pair", "values"),
    {
        "balance.objective=sum": ["sum"],
        "balance.objective=sum,famo": ["sum", "famo"],
        "optimizer.lr=0.001,3e-3": [0.001, "3e-3"],
        "network.sharing={kind: mmoe, experts: 4},ple": [{"kind": "mmoe", "experts": 4}, "ple"],
        "network.sharing.hidden=[16],[32, 16]": [[16], [32, 16]],
        "training.patience=null,2": [None, 2],
        "x='a,b',\"c,d\"": ["a,b", "c,d"],
        "x=[{a: [1, 2]}, 3],4": [[{"a": [1, 2]}, 3], 4],
    }.items(),
)
def test_values_are_yaml_between_commas(pair, values):
    assert list(parse_vary([pair]).values()) == [values]


def test_what_is_no_list_of_values_is_told_all_at_once():
    with pytest.raises(UserError) as raised:
        parse_vary(["balance.objective", "=a", "optimizer.lr=", "x=[1", "y=1", "y=2"])
    told = raised.value.problems
    assert len(told) == 5
    assert sum("write KEY=A,B" in one for one in told) == 3
    assert sum("no valid YAML" in one for one in told) == 1
    assert sum("--vary y=A,B" in one for one in told) == 1


def test_every_combination_is_a_variant_and_the_config_is_one():
    vary = {"balance.objective": ["uncertainty", "famo"], "optimizer.lr": [0.001, 0.01]}
    found = make_variants(config(), vary, INPUTS)

    assert [variant.label for variant in found] == [
        "uncertainty, lr=0.001 (config)",
        "uncertainty, lr=0.01",
        "famo, lr=0.001",
        "famo, lr=0.01",
    ]
    assert found[0].name == "config"
    assert len({variant.name for variant in found}) == 4
    assert found[3].config.balance.objective.kind == "famo"
    assert found[3].config.optimizer.lr == 0.01


def test_the_config_stands_beside_variants_that_all_differ_from_it():
    assert [variant.label for variant in make_variants(config(), {"balance.objective": ["sum"]})] == ["config", "sum"]
    assert [variant.label for variant in make_variants(config(), {})] == ["config"]


def test_labels_tell_keys_apart_and_names_do_not_depend_on_what_stands_beside():
    keys = {'optimizer.subnets."tower.buy".lr': [0.1], "optimizer.subnets.shared.lr": [0.2]}
    alone = {key: make_variants(config(), {key: values})[1].name for key, values in keys.items()}
    (_, both) = make_variants(config(), keys)

    assert both.label == "tower.buy.lr=0.1, shared.lr=0.2"
    assert all(alone[key] == name_of({key: values[0]}) for key, values in keys.items())
    assert all("/" not in name and '"' not in name for name in [*alone.values(), both.name])


def test_names_that_look_alike_differ():
    values = [[8, 4], "[8, 4]", {"hidden": [8, 4]}, "_8_4_"]
    assert len({name_of({"a": value}) for value in values}) == len(values)
    assert len(name_of({"a": "x" * 500})) < 100
    assert name_of({"a": "../../x"}).count("/") == 0


def test_everything_wrong_with_the_variants_is_told_at_once():
    vary = {
        "balance.objectiv": ["sum"],
        "balance.objective": ["fame", "sum"],
        "optimizer.lr": [-1, 0.1],
        'optimizer.subnets."tower.by".lr': [0.1],
        "training.seed": [3],
        "data.null_values": [["NA"]],
        "tasks.buy.weight": ["importance"],
        "tasks.dwell.kind": ["regression"],
        "training.epochs": [],
    }
    with pytest.raises(UserError) as raised:
        make_variants(config(), vary)
    text = str(raised.value)
    for part in (
        "balance.objectiv=sum: the config: unknown key 'objectiv'",
        "did you mean 'famo'",
        "optimizer.lr=-1: ",
        "did you mean 'tower.buy'",
        "seeds are given by their number",
        "data and features cannot be varied",
        "tasks.buy.weight=importance: all that is compared has the same labels",
        "tasks.dwell.kind=regression: all that is compared has the same labels",
        "vary training.epochs: []",
    ):
        assert part in text
    assert len(raised.value.problems) == 9


def test_tasks_may_vary_in_what_they_read():
    found = make_variants(config(), {"tasks.buy.reads": [[], ["click", "dwell"]], "tasks.buy.gradient": ["flow"]})
    assert len(found) == 3


def test_rates_of_subnets_that_a_variant_lacks_are_left_out_of_it():
    mine = config(optimizer={"subnets": {"balance": {"lr": 0.02}, "shared": {"lr": 0.003}}})
    base, plain = make_variants(mine, {"balance.objective": ["sum"]}, INPUTS)
    (_, single) = make_variants(mine, {"network.sharing": ["single"]}, INPUTS)

    assert set(base.config.optimizer.subnets) == {"balance", "shared"}
    assert set(plain.config.optimizer.subnets) == {"shared"}
    assert set(single.config.optimizer.subnets) == {"balance"}


def test_a_task_alone_has_the_same_network_and_rates():
    mine = config(
        network={"sharing": {"kind": "cgc", "specific": {"click": 1, "dwell": 2, "buy": 3}}, "dropout": 0.2},
        balance={"objective": {"kind": "fixed", "weights": {"click": 1, "dwell": 2, "buy": 3}}, "gradients": "pcgrad"},
        optimizer={
            "lr": 0.01,
            "subnets": {"tower.*": {"lr": 0.02}, "tower.buy": {"lr": 0.03}, "tower.click": {"lr": 1}},
        },
        training={"select": "click.auc", "epochs": 7},
    )
    buy, click = (alone_config(mine, name, INPUTS) for name in ("buy", "click"))

    assert list(buy.tasks) == ["buy"]
    assert buy.tasks["buy"].reads == ()
    assert buy.network.sharing.options["specific"] == {"buy": 3}
    assert buy.network.dropout == 0.2
    assert buy.balance.objective.kind == "sum"
    assert buy.balance.gradients is None
    assert buy.optimizer.lr == 0.01
    assert set(buy.optimizer.subnets) == {"tower.*", "tower.buy"}
    assert buy.training.epochs == 7
    assert (buy.training.select, click.training.select) == ("mean", "click.auc")


@pytest.mark.parametrize("select", ["mean", "mean_auc", "dwell.rmse"])
def test_a_task_with_a_where_stands_alone(select):
    alone = alone_config(config(training={"select": select}), "dwell", INPUTS)
    assert alone.tasks["dwell"].where is None
    assert alone.training.select == ("mean" if select == "mean_auc" else select)


def test_an_architecture_that_names_tasks_names_the_one():
    mine = config(network={"sharing": {"kind": "aitm", "chain": ["click", "dwell", "buy"]}})
    assert alone_config(mine, "buy", INPUTS).network.sharing.options["chain"] == ["buy"]


def test_single_task_networks_choose_among_the_same_rates_and_no_others():
    vary = {"balance.objective": ["sum", "famo"], "network.sharing": ["mmoe"], "optimizer.lr": [0.001, 0.01]}
    found = alone_variants(make_variants(config(), vary, INPUTS), "buy", INPUTS)

    assert [variant.name for variant in found] == ["alone.buy", "alone.buy,optimizer.lr=0.01"]
    assert {variant.config.network.sharing.kind for variant in found} == {"shared_bottom"}
    assert [variant.config.optimizer.lr for variant in found] == [0.001, 0.01]
