"""Small random models of every family, each as several files that hold the same weights.

    python -m tests.reference.make OUT_DIR [NAME...]

Same bytes at every run. Scales are chosen so that every format of a family holds them exactly: values that bfloat16
and binary16 both hold; powers of two where Hugging Face stores the reciprocal.
"""

import json
import sys
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from . import families, files
from .families import Config, Linear, Model
from .files import ARRAY, BF16, BOOL, F16, F32, FLOAT, I2_S, I32, PTQ1_0, Q2_0, Q6_K, Q8_0, STRING, TQ1_0, TQ2_0, U32

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA3["original_max_position_embeddings"] = 32
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}

CONFIGS = {
    "bitnet": Config("bitnet", ffn=768, act="relu2", theta=500000.0),
    "bitnet-online": Config("bitnet", act="relu2", theta=500000.0),
    "bitnet-silu": Config("bitnet", layers=3, kv_heads=4),
    "llama": Config("llama", ffn=768),
    "llama-rope": Config("llama", rope=LLAMA3, theta=500000.0),
    "falcon-e": Config("llama", kv_heads=1, tied=False, vocab=320, theta=1e6),
    "qwen3": Config("qwen3", layers=3, head_dim=128, tied=False, theta=1e6, eps=1e-6),
    "bonsai": Config("qwen3", head_dim=128, group=128, ternary_head=True, quantise=False, theta=5e6, eps=1e-6),
    "bonsai-yarn": Config(
        "qwen3", head_dim=128, group=128, ternary_head=True, tied=False, quantise=False, rope=YARN, theta=1e6, eps=1e-6
    ),
    "embedding": Config("qwen3", head_dim=128, norm_in=True, embedding=True, theta=1e6, eps=1e-6),
}
# How scales are drawn: "power" of two, "divisor" (1 / bfloat16), "master" (mean of random weights), else bfloat16.
SCALES = {"llama": "power", "llama-rope": "power", "embedding": "power", "falcon-e": "divisor"}
SCALES |= {"bitnet-online": "master", "bitnet-silu": "master"}

# Arch words of GGUF files, with what differs: (file, arch, matrices, embedding, more)
GGUF = {
    "bitnet": [
        ("i2s-f16", "bitnet-b1.58", I2_S, F16, {}),
        ("v1", "bitnet-25", I2_S, F16, {"output": True}),
        ("tq1-bf16", "bitnet-b1.58", TQ1_0, BF16, {}),
        ("tq2-f32", "bitnet-b1.58", TQ2_0, F32, {}),
        ("q2-f16", "bitnet-b1.58", Q2_0, F16, {}),
        ("i2s-q6k", "bitnet-b1.58", I2_S, Q6_K, {}),
        ("i2s-q8", "bitnet-b1.58", I2_S, Q8_0, {}),
    ],
    "bitnet-online": [("i2s-f16", "bitnet-b1.58", I2_S, F16, {})],
    "bitnet-silu": [("i2s-f16", "bitnet", I2_S, F16, {})],
    "llama": [
        ("i2s-f16", "llama", I2_S, F16, {}),
        ("tq1-f16", "llama", TQ1_0, F16, {}),
        ("tq2-bf16", "llama", TQ2_0, BF16, {}),
    ],
    "llama-rope": [("tq2-f16", "llama", TQ2_0, F16, {})],
    "falcon-e": [("i2s-f16", "llama", I2_S, F16, {})],
    "qwen3": [
        ("tq1-f16", "qwen3", TQ1_0, F16, {}),
        ("tq2-q8", "qwen3", TQ2_0, Q8_0, {}),
        ("tq2-q6k", "qwen3", TQ2_0, Q6_K, {}),
    ],
    "bonsai": [
        ("q2-g64", "qwen3", Q2_0, Q2_0, {"block": 64}),
        ("q2-g128", "qwen3", Q2_0, Q2_0, {"block": 128}),
    ],
    "bonsai-yarn": [("q2-g64", "qwen3", Q2_0, Q2_0, {"block": 64})],
    "embedding": [("i2s-f16", "qwen3", I2_S, F16, {})],
}
# SiLU models whose scales binary16 holds: for llama.cpp, which has arch `bitnet` but no I2_S.
CONFIGS["bitnet-silu-tq"] = replace(CONFIGS["bitnet-silu"])
GGUF["bitnet-silu-tq"] = [("tq1-f16", "bitnet", TQ1_0, F16, {}), ("tq2-f16", "bitnet", TQ2_0, F16, {})]

HUGGING_FACE = {
    "bitnet": [("hf", "autobitlinear"), ("hf-shards", "autobitlinear")],
    "bitnet-online": [("hf", "online")],
    "bitnet-silu": [("hf", "1bitllm")],
    "llama": [("hf", "bitlinear"), ("hf-shards", "bitlinear")],
    "llama-rope": [("hf", "bitlinear")],
    "falcon-e": [("hf", "bitlinear")],
    "embedding": [("hf", "bitlinear")],
}
# Files whose weights, rounded to what our engine keeps, are those of the family's other files.
NOT_THE_SAME_ROOT = {"bitnet.v1", "bitnet.i2s-q6k", "bitnet.i2s-q8", "qwen3.tq1-f16", "qwen3.tq2-q8", "qwen3.tq2-q6k"}
NOT_THE_SAME_ROOT |= {"llama-rope.tq2-f16", "llama-rope.hf"}
# Activations are quantised by the blocks of the file: another arithmetic, another model.
NOT_THE_SAME_ROOT |= {"bonsai.q2-g64", "bonsai-yarn.q2-g64"}


@dataclass
class Case:
    """A file or folder, the model that it holds, and the families' word for its weights."""

    name: str
    path: Path
    model: Model
    family: str
    llama_cpp: bool

    @property
    def same_root(self) -> str | None:
        return None if self.name in NOT_THE_SAME_ROOT else self.family


def shapes(c: Config) -> dict[str, tuple[int, int]]:
    """Rows and columns of the projections of one layer."""
    q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
    return {
        "self_attn.q_proj": (q, c.hidden),
        "self_attn.k_proj": (kv, c.hidden),
        "self_attn.v_proj": (kv, c.hidden),
        "self_attn.o_proj": (c.hidden, q),
        "mlp.gate_proj": (c.ffn, c.hidden),
        "mlp.up_proj": (c.ffn, c.hidden),
        "mlp.down_proj": (c.hidden, c.ffn),
    }


def random_linear(rng, shape, group, how) -> tuple[Linear, np.ndarray]:
    """Weights that keep the size of their input, and master weights that quantise to them (how = "master")."""
    size = 1.0 / (0.8 * np.sqrt(shape[1]))
    # Multiples of 2^-12 whose sum binary32 holds exactly, so that the mean does not depend on the order of adding.
    master = files.bf16(np.rint(rng.standard_normal(shape) * size * 1.25 * 4096) / 4096)
    mean = np.float32(np.abs(master).mean(dtype=np.float64))
    # As transformers' WeightQuant and the converters: multiplied by the inverse, and divided by it again.
    inverse = np.float32(1) / mean
    values = np.clip(np.rint(master.astype(np.float32) * inverse), -1, 1).astype(np.int8)
    if group:
        scale = files.bf16(size * rng.uniform(0.5, 1.5, (shape[0], shape[1] // group)))
    elif how == "master":
        scale = np.float32(1) / inverse
    elif how == "power":
        scale = np.float32(2.0 ** np.rint(np.log2(size * rng.uniform(0.7, 1.4))))
    elif how == "divisor":
        scale = np.float32(1) / files.bf16(1 / (size * rng.uniform(0.7, 1.4)))
    else:
        scale = files.bf16(size * rng.uniform(0.7, 1.4))
    return Linear(values, scale), master


def random_model(name: str) -> tuple[Model, dict[str, np.ndarray]]:
    """The model, and master weights by name."""
    c, how = CONFIGS[name], SCALES.get(name, "bf16")
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    linears, norms, masters = {}, {}, {}

    def norm(key, size):
        norms[key + ".weight"] = files.bf16(1 + 0.1 * rng.standard_normal(size))

    def table():
        if c.ternary_head:
            # Rows of unit length times the size wanted of logits.
            linear, _ = random_linear(rng, (c.vocab, c.hidden), c.group, how)
            return Linear(linear.values, files.bf16(linear.scale * 3))
        return files.bf16(np.rint(0.2 * rng.standard_normal((c.vocab, c.hidden)) * 4096) / 4096)

    embed = table()
    for layer in range(c.layers):
        b = f"model.layers.{layer}."
        norm(b + "input_layernorm", c.hidden)
        norm(b + "post_attention_layernorm", c.hidden)
        if c.kind == "bitnet":
            norm(b + "self_attn.attn_sub_norm", c.heads * c.head_dim)
            norm(b + "mlp.ffn_sub_norm", c.ffn)
        if c.kind == "qwen3":
            norm(b + "self_attn.q_norm", c.head_dim)
            norm(b + "self_attn.k_norm", c.head_dim)
        for key, shape in shapes(c).items():
            linears[b + key], masters[b + key] = random_linear(rng, shape, c.group, how)
            if c.norm_in:
                norm(b + key + ".rms_norm", shape[1])
    norm("model.norm", c.hidden)
    head = None if c.tied or c.embedding else table()
    return Model(c, linears, norms, embed, head), masters


def vocabulary(size: int) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    """Tokens, merges and control tokens of a byte-level BPE; the control tokens are the last three."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    stand_in = [chr(b) if b in printable else chr(next(spare)) for b in range(256)]
    control = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
    pairs = [(stand_in[32], letter) for letter in "abcdefghijklmnoprstuvwy"]
    pairs += [(a, b) for a in "etaoinshrd" for b in "etaoinshrd"]
    merges = pairs[: size - 256 - len(control)]
    tokens = stand_in + [a + b for a, b in merges]
    tokens += [f"<unused{i}>" for i in range(size - len(tokens) - len(control))]
    return tokens + control, merges, control


TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m['role'] | capitalize }}: {{ m['content'] }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}Assistant: {% endif %}"
)
_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.attn_sub_norm": "attn_sub_norm",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.ffn_sub_norm": "ffn_sub_norm",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def gguf_name(name: str) -> str:
    name = name.removesuffix(".weight")
    if name == "model.norm":
        return "output_norm.weight"
    _, _, layer, rest = name.split(".", 3)
    if rest.endswith(".rms_norm"):
        return f"blk.{layer}.{_NAMES[rest.removesuffix('.rms_norm')]}_norm_in.weight"
    return f"blk.{layer}.{_NAMES[rest]}.weight"


def permuted(values, heads):
    """Rows of a query or key matrix as llama files have them: pairs next to each other."""
    return values.reshape(heads, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)


def metadata(c: Config, arch: str, name: str) -> list:
    tokens, merges, control = vocabulary(c.vocab)
    kinds = [3 if t in control else 1 for t in tokens]
    entries = [
        ("general.architecture", STRING, arch),
        ("general.name", STRING, f"random {name}"),
        ("general.quantization_version", U32, 2),
        (f"{arch}.vocab_size", U32, c.vocab),
        (f"{arch}.context_length", U32, c.context),
        (f"{arch}.embedding_length", U32, c.hidden),
        (f"{arch}.block_count", U32, c.layers),
        (f"{arch}.feed_forward_length", U32, c.ffn),
        (f"{arch}.rope.dimension_count", U32, c.head_dim),
        (f"{arch}.rope.freq_base", FLOAT, c.theta),
        (f"{arch}.attention.head_count", U32, c.heads),
        (f"{arch}.attention.head_count_kv", U32, c.kv_heads),
        (f"{arch}.attention.layer_norm_rms_epsilon", FLOAT, c.eps),
    ]
    if c.kind == "qwen3":
        entries += [(f"{arch}.attention.{k}_length", U32, c.head_dim) for k in ("key", "value")]
    if c.rope.get("rope_type") == "yarn":
        entries += [
            (f"{arch}.rope.scaling.type", STRING, "yarn"),
            (f"{arch}.rope.scaling.factor", FLOAT, c.rope["factor"]),
            (f"{arch}.rope.scaling.original_context_length", U32, c.rope["original_max_position_embeddings"]),
        ]
    if c.embedding:
        entries.append((f"{arch}.pooling_type", U32, 3))
    return entries + [
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.pre", STRING, "qwen2" if c.kind == "qwen3" else "llama-bpe"),
        ("tokenizer.ggml.tokens", (ARRAY, STRING), tokens),
        ("tokenizer.ggml.token_type", (ARRAY, I32), kinds),
        ("tokenizer.ggml.merges", (ARRAY, STRING), [" ".join(m) for m in merges]),
        ("tokenizer.ggml.bos_token_id", U32, c.vocab - 3),
        ("tokenizer.ggml.eos_token_id", U32, c.vocab - 2),
        ("tokenizer.ggml.padding_token_id", U32, c.vocab - 2),
        ("tokenizer.ggml.add_bos_token", BOOL, c.kind != "qwen3"),
        ("tokenizer.chat_template", STRING, TEMPLATE),
    ]


def write_gguf(path: Path, model: Model, arch: str, kind: int, table: int, output=False, block=64) -> Model:
    """Write the file; the model that its bytes hold (an embedding in eight bits is rounded)."""
    c, tensors = model.config, []

    def add_table(name, weights):
        if isinstance(weights, Linear):
            tensors.append((name, weights.values.shape, table, files.ternary_bytes(table, weights, block)))
            return weights
        data, values = files.encode(table, weights)
        tensors.append((name, weights.shape, table, data))
        return values

    embed = add_table("token_embd.weight", model.embed)
    head = None if model.head is None else add_table("output.weight", model.head)
    if output:
        add_table("output.weight", model.embed)
    for name, weights in model.norms.items():
        tensors.append((gguf_name(name), weights.shape, F32, files.encode(F32, weights)[0]))
    for name, linear in model.linears.items():
        values = linear.values
        if c.kind == "llama" and name.endswith(("q_proj", "k_proj")):
            values = permuted(values, c.heads if name.endswith("q_proj") else c.kv_heads)
        data = files.ternary_bytes(kind, Linear(values, linear.scale), block)
        tensors.append((gguf_name(name), values.shape, kind, data))
    if c.rope.get("rope_type") == "llama3":
        plain = families.frequencies(replace(c, rope={}))[0]
        factors = (plain / families.frequencies(c)[0]).astype(np.float32)
        tensors.append(("rope_freqs.weight", factors.shape, F32, factors.tobytes()))
    files.write_gguf(path, metadata(c, arch, path.stem), tensors)
    return replace(model, embed=embed, head=head)


def tokenizer_json(c: Config) -> dict:
    tokens, merges, control = vocabulary(c.vocab)
    digits = r"\p{N}" if c.kind == "qwen3" else r"\p{N}{1,3}"
    split = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    bos = {"SpecialToken": {"id": control[0], "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    template = {
        "type": "TemplateProcessing",
        "single": [bos, text],
        "pair": [bos, text, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {control[0]: {"id": control[0], "ids": [c.vocab - 3], "tokens": [control[0]]}},
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": tokens.index(t), "content": t, **flags} for t in control],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False},
                byte_level,
            ],
        },
        "post_processor": byte_level if c.kind == "qwen3" else template,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": c.kind != "qwen3",
            "vocab": {t: i for i, t in enumerate(tokens) if t not in control},
            "merges": [list(m) for m in merges],
        },
    }


def config_json(c: Config, style: str) -> dict:
    architecture = {"bitnet": "BitNetForCausalLM", "llama": "LlamaForCausalLM", "qwen3": "Qwen3ForCausalLM"}[c.kind]
    if style == "1bitllm":
        architecture = "BitnetForCausalLM"
    config = {
        "architectures": ["Qwen3Model" if c.embedding else architecture],
        "model_type": "llama" if style == "1bitllm" else c.kind,
        "hidden_size": c.hidden,
        "intermediate_size": c.ffn,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_dim,
        "vocab_size": c.vocab,
        "max_position_embeddings": c.context,
        "rope_theta": c.theta,
        "rms_norm_eps": c.eps,
        "hidden_act": c.act,
        "tie_word_embeddings": c.tied,
        "bos_token_id": c.vocab - 3,
        "eos_token_id": c.vocab - 2,
        "torch_dtype": "bfloat16",
    }
    if c.rope:
        config["rope_scaling"] = c.rope
    if style != "1bitllm":
        linear = "bitlinear" if style == "bitlinear" else "autobitlinear"
        config["quantization_config"] = {
            "quant_method": "bitnet",
            "linear_class": linear,
            "quantization_mode": "online" if style == "online" else "offline",
            "modules_to_not_convert": ["lm_head"],
        }
        if c.norm_in:
            config["quantization_config"] |= {"use_rms_norm": True, "rms_norm_eps": c.eps}
    return config


def write_hugging_face(folder: Path, model: Model, masters: dict, style: str, shards: int):
    """A folder as published checkpoints are: see integrations/bitnet.py of transformers for the two packed styles."""
    folder.mkdir(parents=True, exist_ok=True)
    c, tensors = model.config, {}

    def add(name, values):
        if style == "1bitllm":
            name = name.replace("attn_sub_norm", "inner_attn_ln").replace("ffn_sub_norm", "ffn_layernorm")
        # A base model without a head has no prefix.
        name = name.removeprefix("model.") if c.embedding else name
        tensors[name] = ("BF16", values.shape, files.to_bf16(values).tobytes())

    add("model.embed_tokens.weight", model.embed)
    if model.head is not None:
        add("lm_head.weight", model.head)
    for name, weights in model.norms.items():
        add(name, weights)
    for name, linear in model.linears.items():
        if style in ("online", "1bitllm"):
            add(name + ".weight", masters[name])
            continue
        packed = files.pack_hugging_face(linear.values)
        key = name.removeprefix("model.") if c.embedding else name
        tensors[key + ".weight"] = ("U8", packed.shape, packed.tobytes())
        scale = linear.scale if style == "autobitlinear" else np.float32(1) / linear.scale
        add(name + ".weight_scale", np.full(1, scale, np.float32))
    if shards == 1:
        files.write_safetensors(folder / "model.safetensors", tensors)
    else:
        names = sorted(tensors)
        index = {"metadata": {"total_size": sum(len(t[2]) for t in tensors.values())}, "weight_map": {}}
        for shard in range(shards):
            file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
            part = names[shard * len(names) // shards : (shard + 1) * len(names) // shards]
            files.write_safetensors(folder / file, {n: tensors[n] for n in part})
            index["weight_map"] |= {n: file for n in part}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    for file, content in {
        "config.json": config_json(c, style),
        "tokenizer.json": tokenizer_json(c),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<|begin_of_text|>",
            "eos_token": "<|end_of_text|>",
            "add_bos_token": c.kind != "qwen3",
            "chat_template": TEMPLATE,
        },
        "generation_config.json": {"bos_token_id": c.vocab - 3, "eos_token_id": [c.vocab - 2, c.vocab - 1]},
    }.items():
        (folder / file).write_text(json.dumps(content, indent=1))


# Types that llama.cpp reads as we write them, for the architectures that it has.
_LLAMA_CPP = {TQ1_0, TQ2_0, Q2_0}


def make(out: Path, only=()) -> list[Case]:
    """Write every model below `out`; one case per file or folder."""
    out.mkdir(parents=True, exist_ok=True)
    cases = []
    for family in CONFIGS:
        if only and family not in only:
            continue
        model, masters = random_model(family)
        for name, arch, kind, table, more in GGUF.get(family, []):
            path = out / f"{family}.{name}.gguf"
            held = write_gguf(path, model, arch, kind, table, **more)
            known = arch in ("llama", "qwen3", "bitnet") and kind in _LLAMA_CPP and more.get("block", 64) == 64
            cases.append(Case(path.stem, path, held, family, known))
        for name, style in HUGGING_FACE.get(family, []):
            path = out / f"{family}.{name}"
            write_hugging_face(path, model, masters, style, 3 if name.endswith("shards") else 1)
            cases.append(Case(path.name, path, model, family, False))
    return cases


def make_refused(out: Path) -> dict[Path, str]:
    """Files that must be refused, with a word that the message must have."""
    out.mkdir(parents=True, exist_ok=True)
    model, _ = random_model("bitnet")
    bonsai, _ = random_model("bonsai")
    refused = {}

    def add(name, word, model, arch, change=lambda tensors: tensors):
        path = out / f"{name}.gguf"
        write_gguf(path, model, arch, I2_S if model.config.kind == "bitnet" else Q2_0, F16, **change_options(model))
        data = path.read_bytes()
        path.write_bytes(change(data))
        refused[path] = word

    def change_options(model):
        return {"block": 128} if model.config.group else {}

    def retyped(old, new):
        """Another type id for the first query matrix."""

        def change(data):
            at = data.index(b"blk.0.attn_q.weight") + len(b"blk.0.attn_q.weight") + 4 + 16
            assert int.from_bytes(data[at : at + 4], "little") == old
            return data[:at] + new.to_bytes(4, "little") + data[at + 4 :]

        return change

    add("tl1", "TL1", model, "bitnet-b1.58", retyped(I2_S, files.TL1))
    add("tl2", "TL2", model, "bitnet-b1.58", retyped(I2_S, files.TL2))
    add("ptq1", "PTQ1_0", replace(bonsai, embed=families.dense(bonsai.embed).astype(np.float32)), "qwen3", retyped(Q2_0, PTQ1_0))
    add("unknown", "mamba", model, "mamba")
    add("qwen35", "qwen35", model, "qwen35")
    return refused


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    for case in make(Path(sys.argv[1]), sys.argv[2:]):
        words = {k: v for k, v in asdict(case.model.config).items() if v}
        print(f"{case.path}: {case.family} {json.dumps(words)}")


if __name__ == "__main__":
    main()
