"""``apply``, ``inspect``, ``demo``, and what goes without saying on the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from wmtui.cli.main import parser, with_command
from wmtui.cli.review import equivalent_command
from wmtui.cli.sides import ask_for_weights
from wmtui.cli.writing import WriteOptions
from wmtui.core.decisions import Accept, PairRun
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.ports import SaveRequest
from wmtui.core.proposal import Proposal
from wmtui.core.session import Session
from wmtui.errors import ChoiceError

MODEL = "new_model.py:NewModel"


def test_apply_takes_a_mapping_and_keeps_the_rest(pair, wmtui):
    (pair / "m.json").write_text(json.dumps({"module.enc_ln.weight": "encoder.norm.weight"}))
    said = wmtui("apply", "m.json", "old_model.pth", "-o", "out.pth")
    assert said.status == 0
    before = torch.load("old_model.pth", weights_only=True)["state_dict"]
    after = torch.load("out.pth", weights_only=True)["state_dict"]
    assert list(after) == [k if k != "module.enc_ln.weight" else "encoder.norm.weight" for k in before]


def test_apply_says_that_a_mapping_cannot_tell_what_is_transposed(pair, wmtui):
    names = {"module.enc_ln.weight": "encoder.norm.weight"}
    (pair / "m.json").write_text(json.dumps(names))
    assert "keep their shapes" in wmtui("apply", "m.json", "old_model.pth", "-o", "a.pth").out
    assert "keep their shapes" not in wmtui("apply", "m.json", "old_model.pth", "-o", "b.pth", "--target", MODEL).out
    wmtui("map", "old_model.pth", MODEL, "--report", "r.json")
    assert "keep their shapes" not in wmtui("apply", "r.json", "old_model.pth", "-o", "c.pth").out


TIES = """
import torch
class Net(torch.nn.Module):
    def __init__(self, tie=False):
        super().__init__()
        self.tok, self.norm = torch.nn.Embedding(9, 4), torch.nn.LayerNorm(4)
        self.output = torch.nn.Linear(4, 9, bias=False)
        if tie:
            self.output.weight = self.tok.weight
def Tied():
    return Net(True)
"""


def test_what_a_source_holds_once_can_be_written_under_two_names(tmp_path, monkeypatch, wmtui):
    """A safetensors file holds tied tensors once; of a target that does not tie them, one name is missing then."""
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(TIES)
    weight = torch.randn(9, 4)
    save_file({"embed.weight": weight, "ln.weight": torch.ones(4), "ln.bias": torch.zeros(4)}, "old.safetensors")
    said = wmtui("map", "old.safetensors", "net.py:Net", "--report", "r.json")
    assert "'output.weight' is missing" in said.out
    assert '"aliases": {"output.weight": "embed.weight"}' in said.out
    report = json.loads(Path("r.json").read_text())
    report["aliases"] = {"output.weight": "embed.weight"}
    Path("r.json").write_text(json.dumps(report))
    for output, more in (("a.safetensors", ()), ("b.safetensors", ("--target", "net.py:Net", "--strict-load"))):
        said = wmtui("apply", "r.json", "old.safetensors", "-o", output, *more)
        assert said.status == 0
        assert "strict=False" in said.out
        made = load_file(output)
        assert torch.equal(made["output.weight"], weight)
        assert torch.equal(made["tok.weight"], weight)
    assert "is missing" not in wmtui("map", "old.safetensors", "net.py:Tied").out


def test_apply_does_what_map_did(pair, wmtui):
    wmtui("map", "old_model.pth", MODEL, "--report", "r.json", "--output", "by_map.pth")
    said = wmtui(
        "apply",
        "r.json",
        "old_model.pth",
        "-o",
        "by_apply.pth",
        "--unmapped",
        "drop",
        "--target",
        MODEL,
        "--strict-load",
    )
    assert said.status == 0
    assert "loads into NewModel" in said.out
    by_map, by_apply = (torch.load(n, weights_only=True)["state_dict"] for n in ("by_map.pth", "by_apply.pth"))
    assert list(by_map) == list(by_apply)
    assert all(torch.equal(by_map[key], by_apply[key]) for key in by_map)


def test_apply_warns_where_the_checkpoint_is_another(pair, wmtui):
    wmtui("map", "old_model.pth", MODEL, "--report", "r.json")
    state = torch.load("old_model.pth", weights_only=True)["state_dict"]
    state["more"] = torch.zeros(1)
    torch.save(state, "more.pth")
    said = wmtui("apply", "r.json", "more.pth", "-o", "out.pth")
    assert said.status == 0
    assert "not the report's own" in said.err


def test_apply_can_be_tried_dry(pair, wmtui):
    (pair / "m.json").write_text(json.dumps({"module.enc_ln.weight": "x"}))
    said = wmtui("apply", "m.json", "old_model.pth", "-o", "out.pth", "--dry-run")
    assert "1 key renamed" in said.out
    assert not (pair / "out.pth").exists()


def test_inspect_prints_groups_totals_and_contents(pair, wmtui):
    out = wmtui("inspect", "old_model.pth").out
    assert "module.enc_blocks.{0-3}.attn.query.weight" in out
    assert "171 tensors" in out
    assert "epoch" in out
    assert "hyper_parameters" in out


def test_inspect_checks_for_nan(pair, wmtui):
    torch.save({"good": torch.ones(3), "bad": torch.tensor([1.0, float("nan"), float("inf")])}, "x.pth")
    said = wmtui("inspect", "x.pth", "--check")
    assert said.status == 1
    assert "bad: 1 NaN, 1 infinite" in said.out
    assert wmtui("inspect", "old_model.pth", "--check").status == 0


def test_inspect_compares_two(pair, wmtui):
    torch.save({"a": torch.ones(3), "b": torch.zeros(2)}, "x.pth")
    torch.save({"a": torch.ones(3), "b": torch.ones(2), "c": torch.ones(1)}, "y.pth")
    out = wmtui("inspect", "x.pth", "--diff", "y.pth", "--values").out
    assert "only there: 1 tensor" in out
    assert "  b" in out


def test_two_dictionaries_of_weights_are_a_choice(pair, wmtui):
    state = torch.nn.Linear(2, 2).state_dict()
    torch.save({"model": state, "ema": {k: v + 1 for k, v in state.items()}}, "two.pth")
    said = wmtui("map", "two.pth", MODEL)
    assert said.status == 2
    assert "model" in said.err
    assert "ema" in said.err
    assert "--weights-key" in said.err
    assert "also in the file: ema, 2 tensors (--weights-key)" in wmtui("inspect", "two.pth").out
    assert "in ema" in wmtui("inspect", "two.pth", "--weights-key", "ema").out


def test_the_demo_runs_without_a_terminal(tmp_path):
    environment = {**os.environ, "WMTUI_STATE_DIR": str(tmp_path / "state")}
    words = [sys.executable, "-m", "wmtui", "demo", "--folder", "demo"]
    done = subprocess.run(
        words, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    for name in ("mapping.json", "report.json", "new_model.pth"):
        assert f"demo/{name}" in done.stdout
        assert (tmp_path / "demo" / name).exists()
    assert "loads with strict=True" in done.stdout
    again = subprocess.run(words, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert again.returncode == 2
    assert "--force" in again.stderr


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("a.pth b.py:M", "review"),
        ("--afresh a.pth b.py:M", "review"),
        ("--weights-key ema a.pth b.py:M", "review"),
        ("a.pth", "inspect"),
        ("--weights-key ema a.pth", "inspect"),
        ("map a b", "map"),
        ("inspect a", "inspect"),
    ],
)
def test_the_command_goes_without_saying(words, command):
    assert parser().parse_args(with_command(words.split())).command == command


def test_a_plain_mapping_warns_of_what_it_cannot_say(pair, wmtui):
    """Kernels stored (in, out) against linear layers: the report knows of square ones, a plain mapping does not."""
    torch.manual_seed(0)
    tensors = [(n, kernels()) for n in range(3)]
    old = {f"h.{n}.{k}": t for n, made in tensors for k, t in made.items()}
    new = {f"blocks.{n}.{k}": t.T if t.ndim == 2 else t for n, made in tensors for k, t in made.items()}
    torch.save(old, "old.pt")
    torch.save({key: value.contiguous() for key, value in new.items()}, "new.pt")
    said = wmtui("map", "old.pt", "new.pt", "--mapping", "m.json", "--report", "r.json")
    assert "which a plain mapping cannot say: apply the report" in said.out
    wmtui("apply", "r.json", "old.pt", "-o", "by_report.pt")
    by_report = torch.load("by_report.pt", weights_only=True)
    assert all(torch.equal(by_report[key], value) for key, value in new.items())
    said = wmtui("apply", "m.json", "old.pt", "-o", "by_mapping.pt", "--target", "new.pt")
    assert "square ones are not" in said.err


def kernels():
    shapes = {"attn.c_attn": (8, 24), "attn.c_proj": (8, 8), "mlp.c_fc": (8, 32), "mlp.c_proj": (32, 8)}
    made = {"ln.weight": torch.randn(8), "ln.bias": torch.randn(8)}
    for name, shape in shapes.items():
        made |= {f"{name}.weight": torch.randn(shape), f"{name}.bias": torch.randn(shape[1])}
    return made


def test_a_listing_has_no_values_to_check(pair, wmtui):
    (pair / "old.json").write_text(wmtui("inspect", "old_model.pth", "--json").out)
    said = wmtui("inspect", "old.json", "--check")
    assert said.status == 2
    assert "no values" in said.err


def test_the_review_asks_which_dictionary_is_meant(pair, monkeypatch, capsys):
    state = torch.nn.Linear(2, 2).state_dict()
    torch.save({"model": state, "ema": {k: v + 1 for k, v in state.items()}}, "two.pth")
    args = parser().parse_args(["review", "two.pth", MODEL])
    monkeypatch.setattr("builtins.input", lambda _: "2")
    ask_for_weights(args)
    assert "  2  ema" in capsys.readouterr().out
    assert (args.weights_key, args.target_weights_key) == ("ema", None)
    monkeypatch.setattr("builtins.input", lambda _: "9")
    with pytest.raises(ChoiceError):
        ask_for_weights(parser().parse_args(["review", "two.pth", MODEL]))


def test_the_command_without_a_screen_writes_what_the_review_writes():
    how = "--input 1x3 --format torch --shard-size 5000000 --also ema --source-model m.py:Old"
    how += " --optimizer --verify --strict-load"
    args = parser().parse_args(["review", "two.pth", MODEL, *how.split()])
    listing = Listing("one", [TensorSpec("a")])
    session = Session(listing, listing, Proposal({}, {}, (), (), lambda *_: ()))
    asked = SaveRequest("two.mapping.json", "two.report.json", "two.renamed.pth")
    command = equivalent_command(args, session, asked)
    assert command == f"wmtui map two.pth {MODEL} {how} --output two.renamed.pth"
    session.apply(Accept((PairRun(0, 0),)))
    more = "--mapping-in two.report.json --output two.renamed.pth"
    assert equivalent_command(args, session, asked) == f"wmtui map two.pth {MODEL} {how} {more}"
    again = parser().parse_args(command.split()[1:])
    assert WriteOptions.of(again) == WriteOptions.of(args)


def test_an_optimizer_state_that_does_not_fit_any_more_is_said_everywhere(pair, wmtui):
    """The old model's auxiliary head has no place in the new one: the numbers of its parameters are gone."""
    state = torch.load("old_model.pth", weights_only=True)
    parameters = [key for key in state["state_dict"] if "running" not in key and "num_batches" not in key]
    number = {"state": {i: {} for i in range(len(parameters))}, "param_groups": [{"params": [*range(len(parameters))]}]}
    torch.save({**state, "optimizer": number}, "old.pth")
    words = "old.pth", "new_model.py:NewModel", "--report", "r.json"
    warning = "the parameters come in another order"
    assert warning in wmtui("map", *words, "--output", "new.pth", "--dry-run").out
    assert warning in wmtui("map", *words, "--output", "new.pth").out
    (said,) = json.loads(Path("r.json").read_text())["warnings"]
    assert warning in said
    for more in (["--dry-run"], [], ["--target", "new_model.py:NewModel"]):
        applied = wmtui("apply", "r.json", "old.pth", "-o", f"out{len(more)}.pth", "--unmapped", "drop", *more)
        assert said in applied.out, applied.err
    weights = wmtui("apply", "r.json", "old.pth", "-o", "x.safetensors", "--format", "safetensors")
    assert weights.status == 0
    assert warning not in weights.out
