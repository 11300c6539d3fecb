"""The oracle of tests/oracle for the tests of the package."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "oracle"))

# Examples differ from run to run; a failure prints what repeats it. Loaded machines are slow.
settings.register_profile("focal", deadline=None, max_examples=150, print_blob=True)
settings.load_profile("focal")
