"""Writers of GGUF and safetensors files, and the encodings of tensors in them.

Each `encode` returns the bytes; `decoded` the values that a reader of those bytes gets.
"""

import json
import struct
from pathlib import Path

import numpy as np

F32, F16, Q8_0, Q6_K, BF16, TQ1_0, TQ2_0, I2_S, TL1, TL2, Q2_0, PTQ1_0 = 0, 1, 8, 14, 30, 34, 35, 36, 38, 39, 42, 143
U32, I32, FLOAT, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
_FORMS = {U32: "<I", I32: "<i", FLOAT: "<f", BOOL: "<?"}


def to_bf16(x) -> np.ndarray:
    """Binary32 to the bits of bfloat16, half to even."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def bf16(x) -> np.ndarray:
    """The nearest values that bfloat16 holds."""
    return (to_bf16(x).astype(np.uint32) << 16).view(np.float32)


def pack_i2_s(values, scale) -> bytes:
    """128 codes to 32 bytes, code p, p + 32, p + 64, p + 96 of byte p from the top; then the scale in 32 bytes."""
    c = (values.reshape(-1, 4, 32) + 1).astype(np.uint8)
    packed = c[:, 0] << 6 | c[:, 1] << 4 | c[:, 2] << 2 | c[:, 3]
    return packed.tobytes() + struct.pack("<f", scale) + bytes(28)


def _half(scale, blocks) -> np.ndarray:
    """One binary16 scale per block, as bytes. Refuses scales that it would round."""
    scale = np.broadcast_to(np.asarray(scale, np.float32).reshape(-1, 1), (blocks, 1))
    half = scale.astype(np.float16)
    assert np.array_equal(half.astype(np.float32), scale), "a scale that binary16 does not hold"
    return np.ascontiguousarray(half).view(np.uint8)


def pack_tq2_0(values, scale) -> bytes:
    """Blocks of 256: two runs of 32 bytes, value 32 n + m of the run at bits 2 n of byte m; binary16 scale."""
    c = (values.reshape(-1, 2, 4, 32) + 1).astype(np.uint8)
    packed = c[:, :, 0] | c[:, :, 1] << 2 | c[:, :, 2] << 4 | c[:, :, 3] << 6
    return np.concatenate([packed.reshape(len(c), 64), _half(scale, len(c))], axis=1).tobytes()


def pack_tq1_0(values, scale) -> bytes:
    """Blocks of 256: 32 bytes of 5 trits, 16 of 5, 4 of 4, most significant first, as ceil(n 256 / 243)."""
    c = (values.reshape(-1, 256) + 1).astype(np.uint16)

    def trits(part):
        powers = np.array([81, 27, 9, 3, 1][: part.shape[1]], np.uint16)[None, :, None]
        return (((part * powers).sum(axis=1) * 256 + 242) // 243).astype(np.uint8)

    parts = c[:, :160].reshape(-1, 5, 32), c[:, 160:240].reshape(-1, 5, 16), c[:, 240:].reshape(-1, 4, 4)
    return np.concatenate([trits(p) for p in parts] + [_half(scale, len(c))], axis=1).tobytes()


def pack_q2_0(values, scale, block) -> bytes:
    """Blocks of 64 or 128: binary16 scale, then value j at bits 2 (j % 4) of byte j / 4."""
    c = (values.reshape(-1, block // 4, 4) + 1).astype(np.uint8)
    packed = c[..., 0] | c[..., 1] << 2 | c[..., 2] << 4 | c[..., 3] << 6
    scale = np.asarray(scale, np.float32)
    if scale.ndim == 2:  # a scale per group of columns, which holds one block or more
        scale = np.repeat(scale, values.size // block // scale.size, axis=1)
    return np.concatenate([_half(scale, len(c)), packed], axis=1).tobytes()


def ternary_bytes(kind, linear, block=64) -> bytes:
    if kind == I2_S:
        return pack_i2_s(linear.values, linear.scale)
    if kind == Q2_0:
        return pack_q2_0(linear.values, linear.scale, block)
    return {TQ1_0: pack_tq1_0, TQ2_0: pack_tq2_0}[kind](linear.values, linear.scale)


def _q8_0(x):
    b = x.reshape(-1, 32)
    d = (np.abs(b).max(axis=1, keepdims=True) / 127).astype(np.float16)
    q = np.clip(np.rint(b / np.maximum(d.astype(np.float32), 1e-12)), -127, 127).astype(np.int8)
    data = np.concatenate([d.view(np.uint8), q.view(np.uint8)], axis=1).tobytes()
    return data, (q * d.astype(np.float32)).reshape(x.shape)


def _q6_k(x):
    """Blocks of 256: ql[128], qh[64], sixteen int8 scales, binary16 d; value = d scale (q - 32)."""
    b = x.reshape(-1, 16, 16)
    step = np.abs(b).max(axis=2) / 31
    d = (step.max(axis=1, keepdims=True) / 127).astype(np.float16)
    wide = np.maximum(d.astype(np.float32), 1e-12)
    scales = np.clip(np.ceil(step / wide), 1, 127).astype(np.int8)
    unit = wide * scales
    q = np.clip(np.rint(b / unit[:, :, None]), -32, 31).astype(np.int32)
    codes = (q + 32).astype(np.uint8).reshape(-1, 2, 4, 32)
    low = np.stack([codes[:, :, 0] & 15 | (codes[:, :, 2] & 15) << 4, codes[:, :, 1] & 15 | (codes[:, :, 3] & 15) << 4], axis=2)
    high = codes[:, :, 0] >> 4 | codes[:, :, 1] >> 4 << 2 | codes[:, :, 2] >> 4 << 4 | codes[:, :, 3] >> 4 << 6
    parts = [low.reshape(-1, 128), high.reshape(-1, 64), scales.view(np.uint8), d.view(np.uint8)]
    return np.concatenate(parts, axis=1).tobytes(), (unit[:, :, None] * q).astype(np.float32).reshape(x.shape)


def encode(kind, x) -> tuple[bytes, np.ndarray]:
    """The bytes of a float tensor, and the values that they hold."""
    x = np.asarray(x, np.float32)
    if kind == F32:
        return x.astype("<f4").tobytes(), x
    if kind == F16:
        return x.astype("<f2").tobytes(), x.astype(np.float16).astype(np.float32)
    if kind == BF16:
        return to_bf16(x).tobytes(), bf16(x)
    return {Q8_0: _q8_0, Q6_K: _q6_k}[kind](x)


def _string(text) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _entry(key, kind, value) -> bytes:
    if kind == STRING:
        return _string(key) + struct.pack("<I", kind) + _string(value)
    if isinstance(kind, tuple):
        items = [_string(v) if kind[1] == STRING else struct.pack(_FORMS[kind[1]], v) for v in value]
        return _string(key) + struct.pack("<IIQ", ARRAY, kind[1], len(value)) + b"".join(items)
    return _string(key) + struct.pack("<I", kind) + struct.pack(_FORMS[kind], value)


def _padded(data) -> bytes:
    return data + bytes(-len(data) % 32)


def write_gguf(path, metadata, tensors):
    """metadata: (key, kind, value), kind (ARRAY, element) for arrays; tensors: (name, shape, type, bytes).

    Shapes have the rows first, as numpy has them; the file wants the reverse.
    """
    infos, offset = [], 0
    for name, shape, kind, data in tensors:
        dims = tuple(reversed(shape))
        infos.append(_string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset))
        offset += len(_padded(data))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(_entry(*m) for m in metadata) + b"".join(infos)
    Path(path).write_bytes(_padded(head) + b"".join(_padded(t[3]) for t in tensors))


def write_safetensors(path, tensors):
    """tensors: {name: (dtype word, shape, bytes)}."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(t[2] for t in tensors.values()))


def pack_hugging_face(values) -> np.ndarray:
    """Rows r, r + n/4, r + n/2, r + 3n/4 in bits 0..1, 2..3, 4..5, 6..7 of packed row r."""
    c = (values.reshape(4, values.shape[0] // 4, -1) + 1).astype(np.uint8)
    return c[0] | c[1] << 2 | c[2] << 4 | c[3] << 6
