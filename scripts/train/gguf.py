"""Read and write the GGUF subset that the demonstration model uses: F32, F16 and I2_S tensors."""

import struct

import numpy as np

F32, F16, I2_S = 0, 1, 36
U32, I32, F32_VALUE, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
ALIGNMENT = 32
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}


def _pad(n):
    return (n + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def _string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(kind, value):
    return _string(value) if kind == STRING else struct.pack(_SCALARS[kind], value)


def pack_i2_s(ternary, scale):
    """Pack an array of -1, 0, 1 (row-major, a multiple of 128 values) and its one scale.

    Each block of 128 codes (value + 1) becomes 32 bytes: byte p holds codes p, p+32, p+64, p+96, high bits first.
    """
    codes = (np.asarray(ternary).reshape(-1, 4, 32) + 1).astype(np.uint8)
    packed = (codes[:, 0] << 6) | (codes[:, 1] << 4) | (codes[:, 2] << 2) | codes[:, 3]
    return packed.tobytes() + struct.pack("<f", scale) + bytes(28)


def unpack_i2_s(data, count):
    """The inverse of pack_i2_s: an int8 array of `count` values and the scale."""
    packed = np.frombuffer(data, np.uint8, count // 4).reshape(-1, 1, 32)
    shifts = np.array([6, 4, 2, 0], np.uint8).reshape(1, 4, 1)
    codes = (packed >> shifts) & 3
    values = np.where(codes == 3, 0, codes.astype(np.int8) - 1).astype(np.int8)
    return values.reshape(-1), np.float32(struct.unpack_from("<f", data, count // 4)[0])


def tensor_bytes(kind, count):
    """Bytes that `count` values of a tensor type occupy, padding between tensors not included."""
    return {F32: 4 * count, F16: 2 * count, I2_S: count // 4 + 32}[kind]


def write(path, metadata, tensors):
    """Write a GGUF version 3 file.

    metadata: list of (key, kind, value); for an array the kind is (ARRAY, element kind).
    tensors: list of (name, dims with the innermost first, type, bytes).
    """
    head = []
    for key, kind, value in metadata:
        if isinstance(kind, tuple):
            head.append(_string(key) + struct.pack("<IIQ", ARRAY, kind[1], len(value)))
            head += [_value(kind[1], v) for v in value]
        else:
            head.append(_string(key) + struct.pack("<I", kind) + _value(kind, value))
    offset = 0
    for name, dims, kind, data in tensors:
        assert len(data) == tensor_bytes(kind, int(np.prod(dims))), name
        head.append(_string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset))
        offset += _pad(len(data))
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)) + b"".join(head)
    with open(path, "wb") as f:
        f.write(header + bytes(_pad(len(header)) - len(header)))
        for _, _, _, data in tensors:
            f.write(data + bytes(_pad(len(data)) - len(data)))


def read(path):
    """Read a file that `write` wrote: (metadata dict, tensors dict).

    A tensor comes as a float32 array of shape dims reversed, or for I2_S as (int8 array, f32 scale).
    """
    with open(path, "rb") as f:
        data = f.read()
    position = 0

    def take(form):
        nonlocal position
        values = struct.unpack_from(form, data, position)
        position += struct.calcsize(form)
        return values[0] if len(values) == 1 else values

    def take_string():
        nonlocal position
        length = take("<Q")
        position += length
        return data[position - length : position].decode()

    def take_value(kind):
        if kind == ARRAY:
            element, count = take("<IQ")
            return [take_value(element) for _ in range(count)]
        return take_string() if kind == STRING else take(_SCALARS[kind])

    if data[:4] != b"GGUF":
        raise ValueError(f"{path} is no GGUF file")
    position = 4
    version, n_tensors, n_metadata = take("<IQQ")
    if version != 3:
        raise ValueError(f"GGUF version {version} is not known here")
    metadata = {}
    for _ in range(n_metadata):
        key = take_string()
        metadata[key] = take_value(take("<I"))
    infos = []
    for _ in range(n_tensors):
        name, n_dims = take_string(), take("<I")
        dims = [take("<Q") for _ in range(n_dims)]
        infos.append((name, dims, *take("<IQ")))
    start = _pad(position)
    tensors = {}
    for name, dims, kind, offset in infos:
        count, shape = int(np.prod(dims)), tuple(reversed(dims))
        body = data[start + offset : start + offset + tensor_bytes(kind, count)]
        if kind == I2_S:
            values, scale = unpack_i2_s(body, count)
            tensors[name] = (values.reshape(shape), scale)
        else:
            tensors[name] = np.frombuffer(body, "<f4" if kind == F32 else "<f2").astype(np.float32).reshape(shape)
    return metadata, tensors
