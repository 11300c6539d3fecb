#!/usr/bin/env python3
"""Makes roots and coefficients of exp in kernels/elementary.h; needs NumPy.

The factor C: of all floats near 1 the one whose C 2^(j / 8) are closest to floats. The cubic:
an interpolation, then moved at random as long as the largest error of sample arguments falls.
The committed coefficients were found so from Sollya's fpminimax, whose own have 0.908 ULP over
all floats; seeds 1 and 2 end with the committed ones' error on their samples.
"""

import argparse

import numpy as np

ROOTS = 8
COMMITTED = ("0x1.508a04p-9", "0x1.00a846p0", "0x1.00b28p-1", "0x1.562bbap-3")  # c0 ... c3


def best_factor() -> tuple[np.float32, float]:
    """C, and the half width of the roots' relative errors."""
    low, high = np.array([0.955, 1.045], np.float32).view(np.int32)
    candidates = np.arange(low, high + 1, dtype=np.int32).view(np.float32)
    least = np.zeros(len(candidates))
    most = np.zeros(len(candidates))
    for j in range(ROOTS):
        exact = candidates * np.exp2(np.longdouble(j) / ROOTS)
        error = ((exact.astype(np.float32) - exact) / exact).astype(np.float64)
        least, most = np.minimum(least, error), np.maximum(most, error)
    best = int(np.argmin(most - least))
    return candidates[best], float(most[best] - least[best]) / 2


def fused(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a b + c; the product is exact in double, and the second rounding is rarely another."""
    return (a.astype(np.float64) * b + c).astype(np.float32)


class Samples:
    """Arguments, reduced as exp_reduce_each() does."""

    def __init__(self, factor: np.float32, count: int, random: np.random.Generator) -> None:
        x = np.concatenate([random.uniform(-87, 44.3, count), random.uniform(-2, 2, count)])
        x = x.astype(np.float32)
        n = np.rint(x * np.float32(8 / np.log(2)))
        r = fused(n, np.float32(-float.fromhex("0x1.62e430p-4")), x)
        self.r = fused(n, np.float32(float.fromhex("0x1.05c61p-32")), r)
        j, k = (n % ROOTS).astype(np.int64), n // ROOTS
        self.root = (factor * np.exp2(np.longdouble(j) / ROOTS)).astype(np.float32)
        self.exact = np.exp(x.astype(np.float64)) * np.exp2(-k.astype(np.float64))
        self.spacing = np.where(self.exact < 1, 2.0**-24, 2.0**-23)

    def error(self, c: np.ndarray) -> float:
        """The largest, in ULP, with the coefficients c0 ... c3."""
        p = fused(c[3], self.r, c[2])
        p = fused(p, self.r, c[1])
        p = fused(p, self.r, c[0])
        difference = fused(self.root, p, self.root) - self.exact
        return float(np.max(np.abs(difference) / self.spacing))


def interpolation(factor: np.float32) -> np.ndarray:
    """Of exp(r) / C - 1 in Chebyshev's points, which is close to the best."""
    end = np.log(2) / (2 * ROOTS)
    cubic = np.polynomial.Chebyshev.interpolate(
        lambda r: np.exp(r) / float(factor) - 1, 3, domain=[-end, end]
    )
    return cubic.convert(kind=np.polynomial.Polynomial).coef.astype(np.float32)


def move(c: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Some coefficients by up to 2^13 of their last bits, most by few."""
    bits = c.view(np.int32).copy()
    for i in random.integers(0, 4, random.integers(1, 4)):
        reach = 2 ** int(random.integers(0, 14))
        bits[i] += int(random.integers(-reach, reach + 1))
    return bits.view(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--moves", type=int, default=3000)
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    factor, width = best_factor()
    print(f"C {float(factor).hex()}, roots within 2^{np.log2(width):.1f}")
    for j in range(ROOTS):
        root = np.float32(factor * np.exp2(np.longdouble(j) / ROOTS))
        entry = (root.view(np.int32) - np.int32(j << 20)).view(np.float32)
        print(f"  root {j}: {float(entry).hex()}")
    samples = Samples(factor, 200_000, random)
    committed = np.array([float.fromhex(c) for c in COMMITTED], np.float32)
    print(f"committed coefficients: {samples.error(committed):.3f} ULP")
    c = interpolation(factor)
    error = samples.error(c)
    for _ in range(arguments.moves):
        moved = move(c, random)
        moved_error = samples.error(moved)
        if moved_error < error:
            c, error = moved, moved_error
    print(f"found: {error:.3f} ULP:", *(float(value).hex() for value in c))


if __name__ == "__main__":
    main()
