"""Write frozen parameters and the tokenizer as a GGUF file that engines for BitNet b1.58 read."""

import json

import numpy as np

import gguf
from data import END

ARCH = "bitnet-b1.58"
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ m['content'] }}{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}"
)


def metadata(shape, tokenizer, extra):
    """The metadata of the file: the shape, the tokenizer, and `extra` pairs of strings."""
    bpe = json.loads(tokenizer.to_str())["model"]
    tokens = [t for t, _ in sorted(bpe["vocab"].items(), key=lambda item: item[1])]
    assert len(tokens) == shape.vocab
    merges = [m if isinstance(m, str) else " ".join(m) for m in bpe["merges"]]
    end = tokenizer.token_to_id(END)
    s, u, f = gguf.STRING, gguf.U32, gguf.F32_VALUE
    return [
        ("general.architecture", s, ARCH),
        ("general.name", s, "aria-demo"),
        *[(key, s, value) for key, value in extra.items()],
        ("general.file_type", u, 40),
        ("general.quantization_version", u, 2),
        (f"{ARCH}.vocab_size", u, shape.vocab),
        (f"{ARCH}.context_length", u, shape.context),
        (f"{ARCH}.embedding_length", u, shape.width),
        (f"{ARCH}.block_count", u, shape.layers),
        (f"{ARCH}.feed_forward_length", u, shape.ffn),
        (f"{ARCH}.attention.head_count", u, shape.heads),
        (f"{ARCH}.attention.head_count_kv", u, shape.kv_heads),
        (f"{ARCH}.attention.key_length", u, shape.head_dim),
        (f"{ARCH}.attention.value_length", u, shape.head_dim),
        (f"{ARCH}.rope.dimension_count", u, shape.head_dim),
        (f"{ARCH}.rope.freq_base", f, shape.rope_theta),
        (f"{ARCH}.attention.layer_norm_rms_epsilon", f, shape.eps),
        ("tokenizer.ggml.model", s, "gpt2"),
        ("tokenizer.ggml.pre", s, "gpt-2"),
        ("tokenizer.ggml.tokens", (gguf.ARRAY, s), tokens),
        ("tokenizer.ggml.token_type", (gguf.ARRAY, gguf.I32), [3 if t == END else 1 for t in tokens]),
        ("tokenizer.ggml.merges", (gguf.ARRAY, s), merges),
        ("tokenizer.ggml.bos_token_id", u, end),
        ("tokenizer.ggml.eos_token_id", u, end),
        ("tokenizer.ggml.add_bos_token", gguf.BOOL, True),
        ("tokenizer.chat_template", s, CHAT_TEMPLATE),
    ]


def write(path, shape, frozen, tokenizer, extra):
    """Write the model file. `frozen` comes from model.freeze."""

    def floats(name, values):
        return (name, (values.shape[0],), gguf.F32, np.asarray(values, "<f4").tobytes())

    embed = np.asarray(frozen["embed"]).astype("<f2")
    tensors = [
        ("token_embd.weight", (shape.width, shape.vocab), gguf.F16, embed.tobytes()),
        floats("output_norm.weight", frozen["output_norm"]),
    ]
    for layer in range(shape.layers):
        for name, _ in shape.norms():
            tensors.append(floats(f"blk.{layer}.{name}.weight", frozen["norms"][name][layer]))
        for name, outputs, inputs in shape.matrices():
            values, scales = frozen["matrices"][name]
            body = gguf.pack_i2_s(np.asarray(values[layer]).astype(np.int8), float(scales[layer]))
            tensors.append((f"blk.{layer}.{name}.weight", (inputs, outputs), gguf.I2_S, body))
    gguf.write(path, metadata(shape, tokenizer, extra), tensors)
