"""Tests of `focal verify`: the bounds it holds results to, what it reports, what its hash depends on."""

from __future__ import annotations

import unittest
from typing import Any

from harness import FAILED, USAGE, CommandTest, strict_json

STRIDE = ("--stride", "1048583", "--quiet")


class Verify(CommandTest):
    def verify(self, *arguments: Any) -> dict[str, Any]:
        result = strict_json(self.focal("verify", "--json", *STRIDE, *arguments))
        assert isinstance(result, dict)
        return result

    def test_fields(self) -> None:
        result = self.verify("--gamma", "1.5", "--alpha", "0.25")
        self.assertEqual((result["op"], result["gamma"], result["alpha"]), ("sigmoid", 1.5, 0.25))
        self.assertEqual(result["patterns"], 2**32 // 1048583 + 1)
        self.assertTrue(result["holds"])
        for part in (result["loss"], result["gradient"]):
            self.assertEqual(part["violations"], 0)
            self.assertGreater(part["normal"], part["subnormal"])
            self.assertLess(0.3, part["correctly_rounded_share"])
            self.assertLessEqual(part["max_ulp"], result["bound_ulp"])

    def test_bounds_are_the_documented_ones(self) -> None:
        for op, tier, gamma, bound in (
            ("sigmoid", "fast", 5, 10.0),
            ("sigmoid", "fast", 10, 22.0),
            ("sigmoid", "sleef", 20, 42.0),
            ("softmax", "fast", 2, 10.0),
            ("softmax", "sleef", 2, 8.0),
            ("sigmoid", "accurate", 5, 0.51),
            ("softmax", "accurate", 10, 1.0),
        ):
            with self.subTest(op=op, tier=tier, gamma=gamma):
                result = self.verify("--op", op, "--tier", tier, "--gamma", gamma)
                self.assertEqual((result["bound_ulp"], result["holds"]), (bound, True))

    def test_a_broken_bound_is_an_error(self) -> None:
        done = self.run_focal("verify", "--json", "--bound", "1", *STRIDE)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("an error beyond 1 ULP", done.stderr)
        result = strict_json(done.stdout)
        self.assertFalse(result["holds"])
        self.assertGreater(result["gradient"]["max_ulp"], 1.0)

    def test_logits_that_broke_the_bound(self) -> None:
        """Found by runs over every float; a stride of 2^32 checks the one logit."""
        for gamma, bits in ((2, 0x405534B7), (2, 0x410CD639)):
            arguments = ("--gamma", gamma, "--stride", 2**32, "--offset", bits)
            for isa in ("scalarfma", None):
                with self.subTest(gamma=gamma, bits=hex(bits), isa=isa):
                    row = ("--isa", isa) if isa else ()
                    result = strict_json(self.focal("verify", "--json", "--quiet", *arguments, *row))
                    self.assertEqual((result["patterns"], result["holds"]), (1, True))

    def test_the_hash_knows_the_problem_but_not_the_threads(self) -> None:
        def hash_of(*arguments: Any) -> str:
            return self.focal("verify", "--hash-only", *STRIDE, *arguments).split()[-1]

        whole = self.verify()["hash"]
        self.assertEqual(hash_of(), whole)
        self.assertEqual(hash_of("--threads", "1"), whole)
        others = [
            hash_of("--gamma", "3"),
            hash_of("--alpha", "0.25"),
            hash_of("--offset", "1"),
            hash_of("--tier", "sleef"),
            hash_of("--op", "softmax"),
        ]
        self.assertEqual(len({whole, *others}), 1 + len(others))

    def test_what_is_refused(self) -> None:
        for option, value in (
            ("--gamma", "-1"),
            ("--alpha", "2"),
            ("--stride", "0"),
            ("--offset", "4294967296"),
            ("--tier", "best"),
            ("--isa", "best"),
        ):
            with self.subTest(option=option):
                done = self.run_focal("verify", "--quiet", option, value)
                self.assertIn(done.returncode, (FAILED, USAGE))
                self.assertIn(value, done.stderr)
                self.assertIn(f"focal verify: {option}", done.stderr)
                self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main()
