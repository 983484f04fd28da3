"""Models named by module and factory: built without memory, listed as their ``state_dict`` is."""

from __future__ import annotations

import sys
import textwrap

import pytest
import torch
from torch import nn

from tests.files.reading import rows, side, ties, torch_rows
from tests.files.zoo import Buffers, Deep, Tied, parametrized, weight_normed
from wmtui.core.side import SideSpec
from wmtui.errors import InputError, KeyMissingError, ModelError
from wmtui.files.execution import dummy_inputs, execution_order
from wmtui.files.models import ModelSource, module_listing, parse_model_args
from wmtui.files.open import open_side

CODE = '''
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, hidden=8, names=()):
        super().__init__()
        self.wte = nn.Embedding(12, hidden)
        self.lm_head = nn.Linear(hidden, 12, bias=False)
        self.lm_head.weight = self.wte.weight
        self.names = names
    def forward(self, ids):
        return self.lm_head(self.wte(ids))

class ReadsANumber(Net):
    """What is made with no parameter can be read once parameters alone are on meta."""
    def __init__(self):
        super().__init__()
        self.rates = [r.item() for r in torch.linspace(0, 1, 3)]

class ReadsAParameter(Net):
    def __init__(self):
        super().__init__()
        self.total = self.wte.weight.sum().item()

def fails():
    raise RuntimeError("no such size\\nsecond line")

def leaves():
    raise SystemExit(3)

def a_dict():
    return {"w": torch.zeros(3)}

def chatty():
    print("building")
    return Net()

made = Net(4)
number = 3
'''


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(textwrap.dedent(CODE))
    return path


@pytest.mark.parametrize("make", [Tied, Buffers, Deep, weight_normed, parametrized])
def test_a_model_is_listed_as_its_state_dict(make):
    model = make()
    listing = module_listing(model)
    assert rows(listing) == torch_rows(model.state_dict())
    parameters = {key for key, _ in model.named_parameters(remove_duplicate=False)}
    assert {spec.key for spec in listing if spec.kind == "parameter"} == parameters


@pytest.mark.parametrize("make", [Tied, Buffers, Deep])
def test_on_the_meta_device_ties_are_known_all_the_same(make):
    with torch.device("meta"):
        model = make()
    assert ties(module_listing(model)) == ties(module_listing(make()))
    assert rows(module_listing(model)) == rows(module_listing(make()))


def test_a_class_in_a_file_is_built_on_meta_with_its_arguments(net):
    opened = open_side(SideSpec(f"{net}:Net", args={"hidden": 1 << 40}))
    assert opened.side.listing["wte.weight"].shape == (12, 1 << 40)
    assert opened.side.listing["lm_head.weight"].shares == "wte.weight"
    assert (opened.side.format, opened.side.name, opened.side.nbytes) == ("model", "Net", None)
    assert opened.side.notes == ()
    assert opened.source.refusal is not None


def test_a_constructor_that_reads_numbers_is_built_with_its_parameters_alone_on_meta(net):
    opened = open_side(SideSpec(f"{net}:ReadsANumber"))
    assert isinstance(opened.source, ModelSource)
    assert all(parameter.device.type == "meta" for parameter in opened.source.module.parameters())
    assert ties(opened.side.listing) == {"lm_head.weight": "wte.weight"}
    assert opened.side.notes == ()


def test_at_last_a_model_is_built_on_the_cpu_and_says_so(net):
    found = side(f"{net}:ReadsAParameter")
    assert ties(found.listing) == {"lm_head.weight": "wte.weight"}
    assert "built on the CPU" in found.notes[0]


def test_what_a_file_left_in_the_registration_of_parameters_is_gone_afterwards(net):
    side(f"{net}:ReadsANumber")
    assert nn.Linear(2, 2).weight.device.type == "cpu"


def test_a_package_is_named_by_its_module():
    found = side("torch.nn:Linear", args={"in_features": 2, "out_features": 3})
    assert found.listing.keys == ("weight", "bias")


def test_a_model_that_stands_there_already_is_taken_as_it_is(net):
    assert side(f"{net}:made").listing["wte.weight"].shape == (12, 4)


def test_a_model_can_be_built_again_with_real_weights(net):
    opened = open_side(SideSpec(f"{net}:Net"))
    assert isinstance(opened.source, ModelSource)
    assert opened.source.build_real()(torch.tensor([[1, 2]])).shape == (1, 2, 12)


def test_what_a_factory_prints_does_not_get_into_the_output(net, capsys):
    side(f"{net}:chatty")
    assert capsys.readouterr().out == ""


def test_a_model_may_import_from_its_own_folder_while_it_is_built(tmp_path):
    (tmp_path / "sizes_of_my_net.py").write_text("HIDDEN = 5\n")
    code = (
        "from torch import nn\ndef make():\n    from sizes_of_my_net import HIDDEN\n    return nn.Linear(HIDDEN, 1)\n"
    )
    (tmp_path / "my_net.py").write_text(code)
    before = list(sys.path)
    assert side(f"{tmp_path}/my_net.py:make").listing["weight"].shape == (1, 5)
    assert sys.path == before


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_parameters_without_a_shape_yet_are_listed_as_such(tmp_path):
    torch.save(nn.Sequential(nn.LazyLinear(3)), tmp_path / "m.pt")
    for found in (side("torch.nn:LazyLinear", args={"out_features": 3}), side(tmp_path / "m.pt")):
        assert [(spec.shape, spec.type_name) for spec in found.listing] == [((), "UninitializedParameter")] * 2


def test_buffers_can_be_left_out_and_those_that_are_not_saved_never_count():
    assert "mask" not in module_listing(Buffers())
    found = side("tests.files.zoo:Buffers", buffers="exclude")
    assert all(spec.kind == "parameter" for spec in found.listing)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("{net}:fails", "raised RuntimeError: no such size"),
        ("{net}:leaves", "raised SystemExit: 3"),
        ("{net}:Missing", "has no 'Missing'"),
        ("{net}:a_dict", "returned no torch.nn.Module but a dict"),
        ("{net}:number", "is no model but of type int"),
        ("{net}:no such", "names no model"),
        ("{net.parent}/none.py:Net", "does not exist"),
        ("no_such_package.x:Net", "there is no module 'no_such_package.x'"),
        ("torch.nn.nothing:Net", "there is no module 'torch.nn.nothing'"),
        ("torch.nn:Linear", "raised TypeError"),
        ("{broken}:Net", "raised SyntaxError"),
        ("{needs}:Net", "needs the module 'no_such_library'"),
        ("{empty}:nn.Identity", "has no parameters"),
        ("{net}:", "names no model"),
    ],
)
def test_a_model_that_cannot_be_had_gets_two_lines(net, location, message):
    broken, needs, empty = (net.parent / name for name in ("broken.py", "needs.py", "empty.py"))
    broken.write_text("def f(:\n")
    needs.write_text("import no_such_library\n")
    empty.write_text("from torch import nn\n")
    with pytest.raises(ModelError, match=message) as caught:
        side(location.format(net=net, broken=broken, needs=needs, empty=empty))
    assert len(str(caught.value).splitlines()) == 2


def test_a_model_has_no_dictionaries_to_choose_from(net):
    with pytest.raises(KeyMissingError):
        side(f"{net}:Net", weights_key="model")


def test_arguments_are_literals_or_else_strings(tmp_path):
    (tmp_path / "a.json").write_text('{"depth": 3, "sizes": [1, 2]}')
    given = ["hidden=128", "rate=1e-3", "name=gelu", "flag=True", "shape=(1, 2)", "none=None", "quoted='7'"]
    assert parse_model_args(given) == {
        "hidden": 128, "rate": 1e-3, "name": "gelu", "flag": True, "shape": (1, 2), "none": None, "quoted": "7",
    }  # fmt: skip
    assert parse_model_args([f"@{tmp_path / 'a.json'}", "depth=4"]) == {"depth": 4, "sizes": [1, 2]}
    assert parse_model_args([f"config=@{tmp_path / 'a.json'}"]) == {"config": {"depth": 3, "sizes": [1, 2]}}
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "bad.json").write_text("{")
    for bad in ("hidden", "=3", "a b=3", f"@{tmp_path}/none.json", f"@{tmp_path}/list.json", f"@{tmp_path}/bad.json"):
        with pytest.raises(InputError):
            parse_model_args([bad])


class Shuffled(nn.Module):
    """Registered in another order than it is used in; one layer by its weight alone, one never."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 2)
        self.never = nn.Linear(4, 4)
        self.first = nn.Linear(3, 4)
        self.middle = nn.Linear(4, 4, bias=False)
        self.seen: object = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x.to(self.last.weight.dtype))
        self.seen = x
        out: torch.Tensor = self.last(nn.functional.linear(x, self.middle.weight))
        return out


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_order_of_execution_is_that_of_use(device):
    with torch.device(device):
        model = Shuffled()
    order, note = execution_order(model, [torch.zeros(1, 3)])
    assert note is None
    used = ["first.weight", "first.bias", "middle.weight", "last.weight", "last.bias"]
    assert sorted(order, key=lambda key: order[key]) == used
    assert module_listing(model, order=order)["middle.weight"].order == 2
    assert model.training
    assert model.seen is None


def test_a_dummy_input_gives_a_model_its_order(net):
    found = side(f"{net}:Net", inputs=("1x5:int64",))
    assert [spec.order for spec in found.listing] == [0, 0]


def test_a_forward_pass_that_fails_costs_the_order_only(net):
    found = side(f"{net}:Net", inputs=("1x5:int64", "3"))
    assert len(found.listing) == 2
    assert [spec.order for spec in found.listing] == [None, None]
    assert "no execution order: the forward pass raised TypeError" in found.notes[0]


@pytest.mark.parametrize("text", ["", "x", "1x", "3:float99", "1,2", "-1", "3:bits"])
def test_a_malformed_dummy_input_is_refused(text):
    with pytest.raises(InputError, match="no dummy input"):
        dummy_inputs([text])
