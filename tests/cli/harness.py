"""What the tests of the `focal` command share: running it, making files, an oracle in float64."""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any, Callable

import numpy as np

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"

DONE, FAILED, USAGE = 0, 1, 2

TIERS = "sleef", "fast"
DEFAULT_TIER = "fast"


def command_path() -> str:
    path = os.environ.get("FOCAL_BIN")
    if not path or not os.access(path, os.X_OK):
        raise SystemExit(f"FOCAL_BIN={path!r}: set it to the focal command to be tested")
    return os.path.abspath(path)


FOCAL = command_path()


def limit(kind: int, value: int) -> Callable[[], None]:
    """For Popen's preexec_fn: a resource limit of the child."""
    return lambda: resource.setrlimit(kind, (value, value))


def strict_json(text: str) -> Any:
    """JSON by RFC 8259: in UTF-8, without the NaN and Infinity that Python would take."""
    text.encode()  # fails for what surrogateescape let in

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def raw_npy(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """A .npy file with any header text at all."""
    encoded = header.encode("latin-1")
    length = struct.pack("<H" if version[0] == 1 else "<I", len(encoded))
    return b"\x93NUMPY" + bytes(version) + length + encoded + data


def header_text(descr: str, shape: str, order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def sigmoid_oracle(
    logits: np.ndarray, targets: np.ndarray, gamma: float, alpha: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Loss and gradient of 0/1 targets in float64, for |logit| below 30."""
    sign = 2.0 * targets.astype(np.float64) - 1.0
    z = logits.astype(np.float64) * sign
    p_t, q = 1.0 / (1.0 + np.exp(-z)), 1.0 / (1.0 + np.exp(z))
    weight = 1.0 if alpha is None else np.where(targets > 0, alpha, 1.0 - alpha)
    softplus = np.logaddexp(0.0, -z)
    loss = weight * q**gamma * softplus
    return loss, -sign * weight * q**gamma * (gamma * p_t * softplus + q)


def softmax_oracle(logits: np.ndarray, labels: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Row losses and gradient in float64; the last dimension holds the classes."""
    x = logits.astype(np.float64)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    one_hot = np.eye(x.shape[-1])[labels]
    p_t = (p * one_hot).sum(axis=-1)
    q = 1.0 - p_t
    loss = -(q**gamma) * np.log(p_t)
    slope = gamma * q ** (gamma - 1.0) * p_t * np.log(p_t) - q**gamma if gamma else -np.ones_like(q)
    return loss, slope[..., None] * (one_hot - p)


class CommandTest(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="focal-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_focal(self, *arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FOCAL_")}
        environment.update(options.pop("environment", {}))
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.run(
            [FOCAL, *map(str, arguments)],
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            timeout=120,
            env=environment,
            **options,
        )

    def focal(self, *arguments: Any, **options: Any) -> str:
        """The output of a run that must succeed without a word on stderr."""
        done = self.run_focal(*arguments, **options)
        self.assertEqual((done.returncode, done.stderr), (DONE, ""))
        return done.stdout

    def refused(self, code: int, message: str, *arguments: Any, **options: Any) -> None:
        """A run that must fail with this code and one line that contains this message."""
        done = self.run_focal(*arguments, **options)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(message, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("focal"), done.stderr)
        self.assertEqual(done.stdout or "", "")

    def save(self, name: str, array: Any, dtype: Any = None) -> Path:
        path = self.folder / name
        np.save(path, np.asarray(array, dtype=dtype))
        return path

    def bytes_file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    def evaluate(self, logits: Any, targets: Any, *options: Any) -> dict[str, Any]:
        """eval --json of two arrays or paths."""
        if not isinstance(logits, Path):
            logits = self.save("logits.npy", logits)
        if not isinstance(targets, Path):
            targets = self.save("targets.npy", targets)
        text = self.focal("eval", "--logits", logits, "--targets", targets, "--json", *options)
        result = strict_json(text)
        assert isinstance(result, dict)
        return result

    def evaluate_all(
        self, logits: Any, targets: Any, *options: Any
    ) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
        """The same with the losses and the gradient."""
        loss, grad = self.folder / "out_loss.npy", self.folder / "out_grad.npy"
        result = self.evaluate(logits, targets, "--loss", loss, "--grad", grad, *options)
        return result, np.load(loss), np.load(grad)

    def assertClose(self, value: Any, expected: Any, relative: float = 1e-6, absolute: float = 1e-40) -> None:
        np.testing.assert_allclose(value, expected, rtol=relative, atol=absolute)
