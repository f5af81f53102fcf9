"""A detector of red squares in YuNet's file format, and an encoder of colours in SFace's: real networks in OpenCV.

ONNX is protocol buffers: a message is a row of fields, each a number and a value (onnx.proto, IR version 8).
"""

from collections.abc import Sequence

import numpy as np

CELL = 32  # pixels of the 640 × 640 input, the coarsest of YuNet's three grids: a red cell is a face
BOX = (0.5, 0.5, 3.0, 4.0)  # its middle, from the cell's corner, and its size, in cells
LANDMARKS = ((-0.5, 0.0), (1.5, 0.2), (0.6, 0.7), (0.0, 1.3), (1.0, 1.4))  # from the cell's corner, in cells


def red_square_detector() -> bytes:
    """The ONNX file: of its grids the finest two find nothing, the coarsest a face where red is not green."""
    nodes, tensors, outputs = b"", b"", b""
    red = np.zeros((1, 3, CELL, CELL), np.float32)
    red[:, 2], red[:, 1] = 1 / 255 / CELL**2, -1 / 255 / CELL**2  # BGR
    shape = [*BOX[:2], *np.log(BOX[2:])]  # sizes are exponents
    for stride in (8, 16, 32):
        none = np.zeros((1, 3, stride, stride), np.float32)
        score = red if stride == CELL else none
        values = {
            "cls": (score, [0.0]),
            "obj": (score, [0.0]),
            "bbox": (none, shape),
            "kps": (none, np.ravel(LANDMARKS)),
        }
        for name, (weight, bias) in values.items():
            out, n = f"{name}_{stride}", len(bias)
            tensors += _tensor(f"w_{out}", np.repeat(weight, n, 0)) + _tensor(f"b_{out}", np.float32(bias))
            tensors += _tensor(f"s_{out}", np.array([1, -1, n], np.int64))
            nodes += _node("Conv", ["input", f"w_{out}", f"b_{out}"], f"c_{out}", strides=[stride, stride])
            nodes += _node("Transpose", [f"c_{out}"], f"t_{out}", perm=[0, 2, 3, 1])
            nodes += _node("Reshape", [f"t_{out}", f"s_{out}"], out)
            outputs += _field(12, _value(out, [1, (640 // stride) ** 2, n]))
    return _model(nodes, b"red", tensors, _value("input", [1, 3, 640, 640]), outputs)


COLOURS = (
    np.array(  # of an embedding, per cell: what it adds of red, green and blue; each sums to 0, so grey is nothing
        [[1, -1, 0], [0, 1, -1], [-1, 0, 1], [2, -1, -1], [-1, 2, -1], [-1, -1, 2], [1, 1, -2], [-2, 1, 1]], np.float32
    )
)
PATCH = 28  # pixels of the 112 × 112 input: 4 × 4 cells of eight numbers are an embedding of 128


def colour_encoder() -> bytes:
    """The ONNX file: the mean of every cell's pixels, in the mixtures of COLOURS, channel by channel."""
    weight = np.repeat(COLOURS[:, :, None], PATCH * PATCH, 2).reshape(8, 3, PATCH, PATCH) / PATCH**2
    tensors = _tensor("w", weight.astype(np.float32)) + _tensor("s", np.array([1, 128], np.int64))
    nodes = _node("Conv", ["data", "w"], "c", strides=[PATCH, PATCH]) + _node("Reshape", ["c", "s"], "fc1")
    return _model(nodes, b"colours", tensors, _value("data", [1, 3, 112, 112]), _field(12, _value("fc1", [1, 128])))


def _model(nodes: bytes, name: bytes, tensors: bytes, takes: bytes, outputs: bytes) -> bytes:
    graph = nodes + _field(2, name) + tensors + _field(11, takes) + outputs
    return _field(1, 8) + _field(8, _field(2, 13)) + _field(7, graph)


def _varint(value: int) -> bytes:
    value, out = value & (1 << 64) - 1, b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def _field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _tensor(name: str, values: np.ndarray) -> bytes:
    kind = 7 if values.dtype == np.int64 else 1
    shape = b"".join(_field(1, n) for n in values.shape)
    return _field(5, shape + _field(2, kind) + _field(8, name.encode()) + _field(9, values.tobytes()))


def _node(kind: str, inputs: Sequence[str], output: str, **ints: Sequence[int]) -> bytes:
    names = b"".join(_field(1, name.encode()) for name in inputs)
    about = b""
    for name, values in ints.items():
        about += _field(5, _field(1, name.encode()) + b"".join(_field(8, v) for v in values) + _field(20, 7))
    return _field(1, names + _field(2, output.encode()) + _field(4, kind.encode()) + about)


def _value(name: str, shape: Sequence[int]) -> bytes:
    dims = b"".join(_field(1, _field(1, n)) for n in shape)
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))
