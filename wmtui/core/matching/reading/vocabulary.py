"""The field's generic vocabulary: synonyms, compounds, fused sets, and where in a network a word usually stands.

Nothing in here names an architecture; each entry is a word that many code bases use for the same thing.
"""

from __future__ import annotations

_GROUPS = """
attn: attention attentions selfattention att attns multiheadattention mha mixer
self: sa
cross: xattn ca crossatt
norm: normalization norms lnorm bnorm gn ln bn layernorm batchnorm groupnorm rmsnorm instancenorm layernorms lns nrm
conv: convolution convs cnn convolutions
fc: linear dense lin linears
q: query queries wq
k: key keys wk
v: value values wv
embed: embedding embeddings emb embedder embeds embd embs embedders
tok: token tokens word words vocab vocabulary
src: source
tgt: target trg
pos: position positional positions posit
out: output o outputs wo
mlp: ffn ff feedforward ffns ffw mlps
proj: projection project projector projections projs projects
short: downsample shortcut skip identity downsampling residual downsampler sc downsamplers ds
up: upsample upsampler upsamplers upsampling
head: classifier logits heads classification unembed predictor predictions
layer: block blocks layers unit units resblocks stage stages blk blks bottleneck blocs levels level
enc: encoder encoders
dec: decoder decoders
vis: vision visual image img images
txt: text language txts
cls: class classes
dw: depthwise
pw: pointwise
final: last
in: input inputs
act: activation activations
init: stem
rel: relative
bias: biases
adaln: modulation mod adaln ada
time: timestep timesteps t
mid: middle
expert: experts
gate: router gating
res: resnet resnets resnet
quant: quantizer quantize quantizers vq
mem: memory
feat: feature features
var: variance
scale: scales gamma
shift: beta
down: dn
pool: pooler pooling
patch: patches
expand: exp expansion
row: rows
col: column columns
spk: speaker speakers
backward: reverse reversed bwd
forward: fwd
cond: conditioning conditioner condition context ctx
"""

SYNONYMS: dict[str, str] = {}
for _line in _GROUPS.split("\n"):
    _head, _, _tail = _line.partition(":")
    for _word in (_head, *_tail.split()):
        if _word:
            SYNONYMS[_word] = _head

COMPOUNDS: dict[str, tuple[str, ...]] = {
    "wte": ("tok", "embed"),
    "wpe": ("pos", "embed"),
    "qkv": ("q", "k", "v"),
    "wqkv": ("q", "k", "v"),
    "kv": ("k", "v"),
    "wkv": ("k", "v"),
    "qk": ("q", "k"),
    "xq": ("cross", "q"),
    "xk": ("cross", "k"),
    "xv": ("cross", "v"),
    "xkv": ("cross", "k", "v"),
    "xo": ("cross", "out"),
    "selfattn": ("self", "attn"),
    "crossattn": ("cross", "attn"),
    "selfatt": ("self", "attn"),
    "selfattention": ("self", "attn"),
    "crossattention": ("cross", "attn"),
    "lm": (),
    "nin": ("conv",),
    "fpn": ("fpn",),
    "lora": ("lora",),
    "tok": ("tok",),
    "embedtokens": ("tok", "embed"),
    "densereludense": ("mlp",),
    "densegatedgeludense": ("mlp",),
    "intermediate": ("mlp", "inter"),
}
"""Words that stand for several."""

PHRASES: tuple[tuple[str, str], ...] = (
    ("encoder_attn", "cross_attn"),
    ("encoder_attention", "cross_attention"),
    ("encoder_decoder_attention", "cross_attention"),
    ("EncDecAttention", "cross_attn"),
    ("encdec_attention", "cross_attn"),
    ("encoder_decoder", "cross"),
    ("multihead_attn", "cross_attn"),
    ("src_attn", "cross_attn"),
    ("input_layernorm", "pre_attention_layernorm"),
    ("feed_forward", "ffn"),
    ("FeedForward", "ffn"),
    ("LayerNorm", "layernorm"),
    ("layer_norm", "layernorm"),
    ("Layer_norm", "layernorm"),
    ("BatchNorm", "batchnorm"),
    ("batch_norm", "batchnorm"),
    ("group_norm", "groupnorm"),
    ("GroupNorm", "groupnorm"),
    ("RMSNorm", "rmsnorm"),
    ("down_sample", "downsample"),
    ("up_sample", "upsample"),
    ("DenseReluDense", "densereludense"),
    ("LSTM", "lstm"),
    ("block_sparse_moe", "mlp"),
    ("sparse_moe", "mlp"),
    ("MultiHeadDotProductAttention", "attention"),
    ("multi_head_attention", "attention"),
    ("word_embedding", "tok_embedding"),
    ("r_w_bias", "content_bias"),
    ("r_r_bias", "pos_bias"),
    ("h_to_4h", "up"),
    ("4h_to_h", "down"),
)
"""Spellings that are joined or replaced before a name is taken apart; first match first."""

BINDING = {"pre": "pre", "before": "pre", "post": "post", "after": "post"}
"""Words that bind to the next one: ``post_attention`` is not ``attention``."""

ORDINALS = {"first": 0, "second": 1, "third": 2, "fourth": 3}

RELATED: dict[tuple[str, str], float] = {
    ("head", "out"): 0.7,
    ("fc", "proj"): 0.4,
    ("pre:attn", "in"): 0.5,
    ("in", "attn"): 0.3,
    ("ih", "wx"): 0.9,
    ("hh", "wh"): 0.9,
    ("hh", "recurrent"): 0.9,
    ("txt", "cond"): 0.5,
    ("txt", "add"): 0.4,
    ("txt", "added"): 0.4,
    ("cond", "add"): 0.4,
    ("cond", "added"): 0.4,
    ("bbox", "box"): 0.9,
    ("bbox", "reg"): 0.6,
    ("box", "reg"): 0.6,
    ("bbox", "regression"): 0.6,
    ("box", "regression"): 0.6,
    ("reg", "regression"): 0.9,
    ("reg", "loc"): 0.5,
    ("box", "loc"): 0.5,
    ("cls", "head"): 0.5,
    ("mem", "cross"): 0.6,
    ("enc", "cross"): 0.5,
    ("x", "cross"): 0.5,
    ("pre:attn", "attn"): 0.6,
    ("pre:self", "attn"): 0.5,
    ("pre:self", "self"): 0.7,
    ("pre:cross", "cross"): 0.7,
    ("pre:mlp", "mlp"): 0.6,
    ("post:attn", "pre:mlp"): 0.6,
    ("post:attn", "mlp"): 0.4,
    ("post:attn", "attn"): 0.25,
    ("post:mlp", "mlp"): 0.4,
    ("post:mlp", "final"): 0.5,
    ("final", "mlp"): 0.3,
    ("out", "final"): 0.5,
    ("final", "post"): 0.6,
    ("inter", "up"): 0.5,
    ("inter", "in"): 0.3,
    ("out", "down"): 0.4,
    ("pe", "pos"): 0.7,
    ("tok", "embed"): 0.3,
    ("short", "proj"): 0.4,
    ("init", "embed"): 0.3,
    ("init", "patch"): 0.4,
    ("mlp", "fc"): 0.3,
    ("neck", "conv"): 0.2,
    ("scale", "norm"): 0.2,
    ("ls", "scale"): 0.7,
    ("adaln", "cond"): 0.3,
    ("decay", "time"): 0.2,
    ("dist", "rel"): 0.5,
    ("pool", "head"): 0.2,
    ("expand", "pw"): 0.4,
    ("reduce", "se"): 0.2,
    ("squeeze", "reduce"): 0.6,
    ("excite", "expand"): 0.6,
    ("gate", "in"): 0.1,
    ("logit", "scale"): 0.1,
    ("backbone", "feat"): 0.5,
    ("backbone", "enc"): 0.4,
    ("trunk", "backbone"): 0.5,
    ("trunk", "enc"): 0.4,
    ("transformer", "enc"): 0.4,
    ("lateral", "inner"): 0.6,
    ("vis", "patch"): 0.1,
}
"""How alike two canonical words are that are not synonyms (looked up both ways)."""

OPPOSITES: tuple[frozenset[str], ...] = (
    frozenset({"attn", "mlp", "conv"}),
    frozenset({"self", "cross"}),
    frozenset({"q", "k", "v"}),
    frozenset({"enc", "dec"}),
    frozenset({"txt", "vis"}),
    frozenset({"up", "down", "gate"}),
    frozenset({"in", "out"}),
)
"""Words of which each means something else than the others of its set, however strange to the other side."""

FUSED_SETS: tuple[frozenset[str], ...] = (
    frozenset({"q", "k", "v"}),
    frozenset({"k", "v"}),
    frozenset({"gate", "up"}),
    frozenset({"q", "k"}),
    frozenset({"q", "k", "v", "mlp"}),
)
"""Roles that code bases commonly keep in one tensor."""

RARE_SETS = (frozenset({"q", "k"}),)
"""Those that fewer code bases keep so: where another of them fits as well, it is the likelier."""

WEAK_WORDS = frozenset({"proj", "fc", "conv", "norm", "weight", "layer", "attn"})
"""Words too common to tell that a tensor is a part of another."""

STAGES: dict[str, float] = {
    "prev": 1,
    "in": 5,
    "input": 5,
    "init": 6,
    "patch": 7,
    "tok": 8,
    "cls": 8.2,
    "mask": 8.3,
    "pos": 9,
    "row": 9.1,
    "col": 9.2,
    "type": 9.5,
    "embed": 10,
    "time": 9.8,
    "pre": 12,
    "backbone": 14,
    "txt": 15,
    "vis": 14.5,
    "enc": 16,
    "feat": 14,
    "quant": 26,
    "cond": 11,
    "self": 20,
    "attn": 20.5,
    "q": 30,
    "k": 31,
    "v": 32,
    "rel": 33,
    "cross": 36,
    "gate": 50,
    "mlp": 50,
    "se": 52,
    "inter": 50.5,
    "expert": 51,
    "shared": 51.5,
    "expand": 44,
    "dw": 46,
    "reduce": 47,
    "pw": 53,
    "conv": 42,
    "layer": 43,
    "fc": 52,
    "up": 52.5,
    "down": 53,
    "mid": 54,
    "neck": 55,
    "proj": 56,
    "dec": 57,
    "short": 58,
    "pool": 61,
    "out": 60,
    "post": 64,
    "final": 66,
    "head": 70,
}
"""Where in a forward pass a word usually comes; used only where a listing has lost its own order."""
