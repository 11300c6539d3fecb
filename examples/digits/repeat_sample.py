"""Repeat the sample's rows into larger files, for timing. Needs nothing but Python.

Usage: repeat_sample.py [--copies N] DIRECTORY
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

HERE = Path(__file__).resolve().parent
FILES = ("sigmoid_logits.npy", "softmax_logits.npy", "targets.npy", "labels.npy")
MAGIC = b"\x93NUMPY\x01\x00"


def repeated(data: bytes, copies: int) -> bytes:
    """The .npy file `data` (version 1.0, C order) with its rows `copies` times."""
    length = int.from_bytes(data[8:10], "little")
    if data[:8] != MAGIC or len(data) < 10 + length:
        raise ValueError("not a .npy file of version 1.0")
    header = ast.literal_eval(data[10 : 10 + length].decode("latin-1"))
    if header["fortran_order"]:
        raise ValueError("rows are not contiguous")
    rows, *rest = header["shape"]
    header["shape"] = (rows * copies, *rest)
    text = repr(header)
    # The format wants the data at a multiple of 64 and a newline before it.
    text += " " * (-(len(MAGIC) + 2 + len(text) + 1) % 64) + "\n"
    return MAGIC + len(text).to_bytes(2, "little") + text.encode() + data[10 + length :] * copies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="where the files go")
    parser.add_argument("--copies", type=int, default=100, help="how often (100)")
    arguments = parser.parse_args()
    if arguments.copies < 1:
        parser.error("--copies must be at least 1")
    arguments.directory.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        data = repeated((HERE / name).read_bytes(), arguments.copies)
        (arguments.directory / name).write_bytes(data)
        print(f"{arguments.directory / name}: {len(data)} bytes")


if __name__ == "__main__":
    main()
