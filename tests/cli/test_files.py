"""How `focal eval` treats files: refused inputs, atomic outputs, failing disks and memory."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import DONE, FAILED, FOCAL, USAGE, CommandTest, header_text, limit, raw_npy, strict_json

F4 = "'<f4'"


class Inputs(CommandTest):
    """Every reason to refuse an input file, with its message."""

    def setUp(self) -> None:
        super().setUp()
        self.logits = self.save("logits.npy", np.zeros((2, 3)), np.float32)
        self.targets = self.save("targets.npy", np.zeros((2, 3)), np.float32)

    def logits_refused(self, message: str, content: bytes) -> None:
        path = self.bytes_file("bad.npy", content)
        arguments = "--logits", path, "--targets", self.targets
        self.refused(FAILED, f"--logits {path}: {message}", "eval", *arguments)

    def targets_refused(self, message: str, targets: Any, *options: Any, logits: Any = None) -> None:
        path = self.save("bad.npy", targets)
        logits = self.logits if logits is None else self.save("bad_logits.npy", logits)
        arguments = "--logits", logits, "--targets", path, *options
        self.refused(FAILED, f"--targets {path}: {message}", "eval", *arguments)

    def test_no_such_file(self) -> None:
        for option, other in (("--logits", "--targets"), ("--targets", "--logits")):
            arguments = option, "/no/such.npy", other, self.logits
            message = f"{option} /no/such.npy: No such file or directory"
            self.refused(FAILED, message, "eval", *arguments)

    def test_not_a_regular_file(self) -> None:
        os.mkfifo(self.folder / "pipe")
        for path in (self.folder, self.folder / "pipe", Path("/dev/zero")):
            message = f"--logits {path}: is not a regular file"
            self.refused(FAILED, message, "eval", "--logits", path, "--targets", self.targets)

    def test_not_npy(self) -> None:
        self.logits_refused("is not a .npy file; write it with numpy.save", b"0.5, 0.25, 1, 2")
        self.logits_refused("truncated: it ends before its data does", b"")
        self.logits_refused("truncated: it ends before its data does", b"\x93NUMPY\1\0")
        self.logits_refused("truncated: it ends before its data does", b"\x93NUMPY\2\0\0\0")
        np.savez(self.folder / "x.npz", x=np.zeros(3))
        archive = (self.folder / "x.npz").read_bytes()
        self.logits_refused("is an .npz archive; save the one array", archive)

    def test_versions(self) -> None:
        for version in ((4, 0), (1, 1), (0, 0)):
            content = raw_npy(header_text(F4, "(2, 3)"), bytes(24), version)
            self.logits_refused(f"is of .npy version {version[0]}.{version[1]}; 1.0, 2.0", content)

    def test_sizes(self) -> None:
        whole = self.logits.read_bytes()
        announces = "its header (f32, 2 x 3) announces 24 bytes of data, the file has"
        self.logits_refused(f"truncated: {announces} 23", whole[:-1])
        self.logits_refused(f"truncated: {announces} 0", whole[:-24])
        self.logits_refused(f"oversized: {announces} 25", whole + b"\0")
        self.logits_refused("truncated: it ends before its data does", whole[:70])
        huge = b"\x93NUMPY\2\0\xff\xff\xff\xff"
        self.logits_refused("its header is longer than that of any array of numbers", huge)

    def test_header_syntax(self) -> None:
        malformed = "its header is not a dict of descr, fortran_order and shape"
        good = header_text(F4, "(2, 3)").rstrip()
        for header in (
            "",
            "{}",
            "(2, 3)",
            good[:-1],
            good + "x",
            good.replace("False", "None"),
            good.replace("'<f4'", "f4"),
            good.replace("'<f4'", "'<f4"),
            good.replace("'<f4'", "'\\x3cf4'"),
            good.replace("'<f4'", "'<f4\x00'"),
            good.replace("'shape': (2, 3), ", ""),
            good.replace("'descr'", "'dtype'"),
            good.replace("'descr'", "'" + "d" * 99 + "'"),
            good.replace("'descr':", "'descr'"),
            good.replace("{'", "{'descr': '<f4', '"),
            good.replace(", 'fortran", "; 'fortran"),
        ):
            with self.subTest(header):
                self.logits_refused(malformed, raw_npy(header, bytes(24)))

    def test_shape_syntax(self) -> None:
        for shape, message in (
            ("[2, 3]", "its shape is not a tuple"),
            ("6", "its shape is not a tuple"),
            ("(6)", "its shape is not a tuple"),
            ("(2 3)", "its shape is not a tuple of integers"),
            ("(2, -3)", "its shape is not a tuple of integers"),
            ("(2, 3.0)", "its shape is not a tuple of integers"),
            ("(2, , 3)", "its shape is not a tuple of integers"),
            ("(2, 3", "its shape is not a tuple of integers"),
            ("(" + "1, " * 33 + ")", "it has more than 32 dimensions"),
            ("(9223372036854775808, 1)", "a dimension of its shape exceeds 63 bits"),
            ("(2305843009213693952, 1)", "its shape multiplies to more bytes than 63 bits"),
            ("(4294967296, 4294967296)", "its shape multiplies to more bytes than 63 bits"),
            ("(0, 4294967296, 4294967296)", "its shape multiplies to more bytes than 63 bits"),
        ):
            with self.subTest(shape):
                self.logits_refused(message, raw_npy(header_text(F4, shape), bytes(24)))

    def test_types_that_are_no_real_numbers(self) -> None:
        types = "<c8 <f16 |O |S4 <U4 <M8[s] |V4 <f3 f4 < |f4".split()
        for descr in (*types, ""):
            with self.subTest(descr):
                content = raw_npy(header_text(repr(descr), "(2, 3)"), bytes(24))
                self.logits_refused(f"its dtype '{descr}' is not a real number", content)
        records = raw_npy(header_text("[('x', '<f4'), ('y', '<f4')]", "(3,)"), bytes(24))
        self.logits_refused("it is a structured array (records)", records)

    def test_logits_of_another_type(self) -> None:
        names = {"H": "u16", "i": "i32", "B": "u8", "?": "bool"}
        for dtype, name in names.items():
            with self.subTest(name):
                path = self.save("bad.npy", np.zeros((2, 3)), dtype)
                self.refused(
                    FAILED,
                    f"--logits {path}: holds {name}, the kernels take f32, f64 or f16; save it again with "
                    "numpy.save(path, logits.astype(numpy.float32))",
                    *("eval", "--logits", path, "--targets", self.targets),
                )

    def test_logits_of_a_wrong_shape(self) -> None:
        scalar = raw_npy(header_text(F4, "()"), bytes(4))
        self.logits_refused("is a scalar; logits have at least one dimension", scalar)
        no_classes = raw_npy(header_text(F4, "(5, 0)"))
        self.logits_refused("its last dimension is 0: rows need at least one class", no_classes)
        path = self.save("one.npy", np.zeros(6), np.float32)
        arguments = "--logits", path, "--targets", path, "--activation", "softmax"
        message = f"--logits {path}: has one dimension; softmax needs the classes as the last"
        self.refused(FAILED, message, "eval", *arguments)

    def test_targets_of_a_wrong_shape(self) -> None:
        zeros = np.zeros
        needs = "such targets need the logits' shape 2 x 3"
        self.targets_refused(f"is f32, 3 x 2; {needs}", zeros((3, 2), "f4"))
        self.targets_refused(f"is f32, 2; {needs}", zeros(2, "f4"))
        self.targets_refused(f"is bool, 2; {needs}", zeros(2, "?"))
        self.targets_refused(f"is f64, scalar; {needs}", zeros(()))
        either = "integer targets need the logits' shape 2 x 3 (0 or 1 each) or one label per row: "
        self.targets_refused(f"is i64, 3; {either}shape 2", zeros(3, "i8"))
        self.targets_refused(f"is u8, 2 x 1; {either}shape 2", zeros((2, 1), "u1"))
        self.targets_refused(
            "is i64, 5; such targets need the logits' shape 4",
            zeros(5, "i8"),
            logits=zeros(4, "f4"),
        )
        long = (1,) * 31 + (3,)
        self.targets_refused(
            "is f32, 3; such targets need the logits' shape " + "1 x " * 31 + "3",
            *(zeros(3, "f4"),),
            logits=zeros(long, "f4"),
        )

    def test_a_shape_too_long_to_print(self) -> None:
        targets = np.zeros((10,) * 8 + (0,) * 24, np.uint8)
        self.targets_refused("is u8, " + "10 x " * 8 + "0 x " * 23 + "...; ", targets)

    def test_targets_of_softmax(self) -> None:
        for dtype, shape in (("f4", (3, 2)), ("i8", (2, 3)), ("?", (2, 3))):
            path = self.save("bad.npy", np.zeros(shape, dtype))
            arguments = "--logits", self.logits, "--targets", path, "--activation", "softmax"
            message = "; softmax takes integer labels, one per row: shape 2, or float targets of"
            self.refused(FAILED, message, "eval", *arguments)

    def test_labels_of_one_class_are_ambiguous(self) -> None:
        logits = np.zeros((4, 1), "f4")
        self.targets_refused("with one class these are ambiguous", np.zeros(4, "i8"), logits=logits)

    def test_target_values(self) -> None:
        def at_four(value: Any, dtype: str) -> np.ndarray:
            targets = np.zeros((2, 3), dtype)
            targets[1, 1] = value
            return targets

        for value, text in ((1.5, "1.5"), (-0.25, "-0.25"), (np.nan, "nan"), (np.inf, "inf")):
            for dtype in ("f4", "<f8"):
                path = self.save("bad.npy", at_four(value, dtype))
                done = self.run_focal("eval", "--logits", self.logits, "--targets", path)
                message = f"--targets {path}: element 4 is {text}; targets lie in [0, 1]\n"
                self.assertEqual(done.returncode, FAILED)
                self.assertTrue(done.stderr.endswith(message), done.stderr)
        for value, dtype in ((2, "u1"), (2, "i1"), (-1, "i8"), (256, "u2"), (2**32, "u8")):
            with self.subTest(value=value, dtype=dtype):
                message = f"element 4 is {value}, neither 0 nor 1"
                self.targets_refused(message, at_four(value, dtype))

    def test_label_values(self) -> None:
        for value, dtype in ((3, "u1"), (-1, "i1"), (3, "u2"), (-1, "i4"), (2**32 - 1, "u4"), (2**40, "i8")):
            with self.subTest(value=value, dtype=dtype):
                message = f"label {value} of row 1 is outside [0, 3); "
                labels = np.array([0, value], dtype)
                self.targets_refused(message + "--background or --ignore gives it a meaning\n", labels)
                path = self.folder / "bad.npy"
                arguments = "--logits", self.logits, "--targets", path, "--activation=softmax"
                self.refused(FAILED, message + "--ignore gives it a meaning\n", "eval", *arguments)
        beyond = np.array([0, 2**64 - 1], "u8")
        self.targets_refused("label of row 1 is beyond 63 bits", beyond)
        self.targets_refused(
            "label 3 of row 1 is outside [0, 3) and not the background\n",
            *(np.array([-1, 3]), "--background", "-1"),
        )

    @pytest.mark.address_space_limit
    def test_more_than_memory(self) -> None:
        path = self.folder / "huge.npy"
        path.write_bytes(raw_npy(header_text(F4, "(4294967296, 1)")))
        os.truncate(path, path.stat().st_size + 2**34)
        self.refused(
            FAILED,
            "--logits: not enough memory for 4294967296 elements of 4 bytes",
            *("eval", "--logits", path, "--targets", path),
            preexec_fn=limit(resource.RLIMIT_AS, 2**30),
        )


class Outputs(CommandTest):
    """Outputs are the old file or the whole new one, and never an input."""

    def setUp(self) -> None:
        super().setUp()
        self.logits = self.save("logits.npy", np.linspace(-3, 3, 3000).reshape(300, 10), "f4")
        self.targets = self.save("targets.npy", np.arange(300) % 10)
        self.inputs = "--logits", self.logits, "--targets", self.targets
        self.before = {path: path.read_bytes() for path in (self.logits, self.targets)}

    def tearDown(self) -> None:
        for path, content in self.before.items():
            self.assertEqual(path.read_bytes(), content)

    def test_an_input_is_refused(self) -> None:
        os.symlink(self.logits, self.folder / "link.npy")
        os.link(self.targets, self.folder / "hard.npy")
        for output in ("--loss", "--grad"):
            for name, owner in (
                ("logits.npy", "--logits"),
                ("targets.npy", "--targets"),
                ("link.npy", "--logits"),
                ("hard.npy", "--targets"),
                ("../" + self.folder.name + "/logits.npy", "--logits"),
            ):
                path = f"{self.folder}/{name}"
                message = f"{output} {path}: is the file of {owner}; name another one"
                self.refused(FAILED, message, "eval", *self.inputs, output, path)

    def test_one_file_for_both_outputs_is_refused(self) -> None:
        (self.folder / "sub").mkdir()
        os.symlink(self.folder, self.folder / "sub" / "up")
        existing = self.save("existing.npy", 1.0)
        for loss, grad in (
            (self.folder / "x.npy", self.folder / "x.npy"),
            (self.folder / "x.npy", f"{self.folder}/sub/up/x.npy"),
            (existing, f"{self.folder}/sub/../existing.npy"),
        ):
            message = f"--grad {grad}: is the file of --loss; name another one"
            self.refused(USAGE, message, "eval", *self.inputs, "--loss", loss, "--grad", grad)
        loss, grad = "--loss=same.npy", "--grad=./same.npy"
        message = "--grad ./same.npy: is the file of --loss"
        self.refused(USAGE, message, "eval", *self.inputs, loss, grad, cwd=self.folder)

    def test_places_where_no_file_can_be(self) -> None:
        os.symlink(self.folder / "nothing", self.folder / "dangling.npy")
        # Never a device of the machine: run by root, a broken check would replace it.
        os.mkfifo(self.folder / "pipe")
        for path, message in (
            (f"{self.folder}", "is a folder; name a file"),
            (f"{self.folder}/new/", "is a folder; name a file"),
            (f"{self.folder}/no/x.npy", "its folder does not exist"),
            (f"{self.logits}/x.npy", "Not a directory"),
            (f"{self.folder}/dangling.npy", "is a symbolic link to nothing"),
            (f"{self.folder}/pipe", "exists and is not a regular file"),
            (f"{self.folder}/{'x' * 300}.npy", "File name too long"),
        ):
            with self.subTest(path):
                message = f"--grad {path}: {message}"
                self.refused(FAILED, message, "eval", *self.inputs, "--grad", path)
        self.assertTrue(stat.S_ISFIFO(os.stat(self.folder / "pipe").st_mode))

    def test_folder_that_refuses_writing(self) -> None:
        if os.geteuid() == 0:
            folder = Path("/sys")  # where not even root can create files
        else:
            folder = self.folder / "readonly"
            folder.mkdir(mode=0o555)
        path = folder / "focal_test_output.npy"
        message = f"--grad {path}: no file can be created in its folder: "
        self.refused(FAILED, message, "eval", *self.inputs, "--grad", path)
        self.assertFalse(path.exists())

    def test_new_files_follow_the_umask(self) -> None:
        for mask in (0o022, 0o077):
            path = self.folder / f"{mask}.npy"
            self.focal("eval", *self.inputs, "--grad", path, preexec_fn=lambda m=mask: os.umask(m))
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o666 & ~mask)

    def test_existing_files_are_replaced_and_keep_their_mode(self) -> None:
        path = self.bytes_file("old.npy", b"old")
        path.chmod(0o640)
        inode = path.stat().st_ino
        self.focal("eval", *self.inputs, "--grad", path)
        self.assertEqual(np.load(path).shape, (300, 10))
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o640)
        self.assertNotEqual(path.stat().st_ino, inode)

    def test_a_link_stays_a_link(self) -> None:
        (self.folder / "sub").mkdir()
        real = self.bytes_file("sub/real.npy", b"old")
        os.symlink("sub/real.npy", self.folder / "link.npy")
        self.focal("eval", *self.inputs, "--grad", self.folder / "link.npy")
        self.assertTrue((self.folder / "link.npy").is_symlink())
        self.assertEqual(np.load(real).shape, (300, 10))

    def test_relative_paths(self) -> None:
        (self.folder / "sub").mkdir()
        for path in ("plain.npy", "./dot.npy", "sub/below.npy", "sub/../up.npy"):
            self.focal("eval", *self.inputs, "--grad", path, cwd=self.folder)
            self.assertEqual(np.load(self.folder / path).shape, (300, 10))

    def check_full_disk(self, space: int) -> None:
        """Both outputs exist; files may not grow beyond `space` bytes."""
        loss, grad = self.bytes_file("loss.npy", b"old"), self.bytes_file("grad.npy", b"old")
        names = self.names()
        # Row losses take 1328 bytes, the gradient 12128.
        which, path = ("--loss", loss) if space < 1328 else ("--grad", grad)
        self.refused(
            FAILED,
            f"{which} {path}: File too large",
            *("eval", *self.inputs, "--activation=softmax", "--loss", loss, "--grad", grad),
            preexec_fn=limit(resource.RLIMIT_FSIZE, space),
        )
        self.assertEqual((loss.read_bytes(), grad.read_bytes()), (b"old", b"old"))
        self.assertEqual(self.names(), names)

    def test_a_full_disk_changes_nothing(self) -> None:
        for space in (0, 100, 1327, 1328, 12127):
            with self.subTest(space):
                self.check_full_disk(space)
        enough = limit(resource.RLIMIT_FSIZE, 12128)
        loss, grad = self.folder / "loss.npy", self.folder / "grad.npy"
        arguments = *self.inputs, "--activation=softmax", "--loss", loss, "--grad", grad
        self.focal("eval", *arguments, preexec_fn=enough)
        self.assertEqual((loss.stat().st_size, grad.stat().st_size), (1328, 12128))

    def test_a_refused_label_writes_nothing(self) -> None:
        self.before.pop(self.targets)
        self.save("targets.npy", np.full(300, 10))
        loss, names = self.bytes_file("loss.npy", b"old"), self.names()
        message = "label 10 of row 0 is outside [0, 10)"
        arguments = *self.inputs, "--loss", loss, "--grad", self.folder / "g.npy"
        self.refused(FAILED, message, "eval", *arguments)
        self.assertEqual((loss.read_bytes(), self.names()), (b"old", names))

    def stopped_amid_writing(self, number: int, *threads: str) -> int:
        """The exit status after a signal that came while a temporary file lay in the folder."""
        logits = self.save("large.npy", np.zeros((2**21, 1), np.float32))
        outputs = "--loss", self.folder / "loss.npy", "--grad", self.folder / "grad.npy"
        arguments = "--logits", logits, "--targets", logits, "--output-dtype", "f64", *outputs, *threads
        for _ in range(20):
            process = subprocess.Popen(
                [FOCAL, "eval", *map(str, arguments)],
                stdout=subprocess.DEVNULL,
                preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
            )
            while process.poll() is None:
                if any(name.startswith(".focal-") for name in os.listdir(self.folder)):
                    process.send_signal(number)
                    break
            # A run that was faster than the signal proves nothing.
            if process.wait(timeout=60) != DONE:
                break
        return process.returncode

    def test_a_signal_leaves_no_temporary(self) -> None:
        info = strict_json(self.focal("info", "--json"))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for threads in ((), ("--threads", "2")) if info["openmp"] else ((),):
                with self.subTest(number, threads=threads):
                    self.assertEqual(self.stopped_amid_writing(number, *threads), -number)
                    self.assertFalse([name for name in self.names() if name.startswith(".focal-")])

    def test_an_ignored_signal_stays_ignored(self) -> None:
        """As under nohup."""
        process = subprocess.Popen(
            [FOCAL, "eval", *map(str, self.inputs), "--repeat", "1000", "--grad", str(self.folder / "g.npy")],
            stdout=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        )
        while process.poll() is None:
            process.send_signal(signal.SIGHUP)
        self.assertEqual(process.returncode, DONE)
        self.assertEqual(np.load(self.folder / "g.npy").shape, (300, 10))

    @pytest.mark.address_space_limit
    def test_memory_for_an_output(self) -> None:
        """Address space for two inputs of 64 MiB and little more."""
        big = self.save("big.npy", np.zeros((2**24, 1), np.float32))
        names = self.names()
        for option in ("--loss", "--grad"):
            self.refused(
                FAILED,
                f"{option}: not enough memory for 16777216 elements of 4 bytes",
                *("eval", "--logits", big, "--targets", big, option, "x.npy"),
                preexec_fn=limit(resource.RLIMIT_AS, 170 * 2**20),
                cwd=self.folder,
            )
        self.assertEqual(self.names(), names)

    def test_result_that_cannot_be_printed(self) -> None:
        message = "the result could not be written to the standard output"
        with open("/dev/full", "w") as full:
            for arguments in (("eval", *self.inputs), ("info",), ("--help",), ("info", "--json")):
                self.refused(FAILED, message, *arguments, stdout=full)
        closed = self.run_focal("info", preexec_fn=lambda: os.close(1))
        self.assertNotEqual(closed.returncode, DONE)


if __name__ == "__main__":
    unittest.main()
