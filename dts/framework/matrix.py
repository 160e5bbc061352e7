# SPDX-License-Identifier: BSD-3-Clause
"""What tests are parametrized over: kinds of guests, and vswd's lcores."""

import pytest

# With one lcore it polls, bridges and controls; with two, the first does not poll.
LCORES = ["0", "0-1"]

each_kind = pytest.mark.parametrize("kind", ["uml", "qemu"])

# QEMU's guests are slow: once is enough, where the layout is not what matters.
each_setup = pytest.mark.parametrize(
    "kind, lcores",
    [pytest.param(kind, lcores, id=f"{kind}-l{lcores}")
     for kind, lcores in [("uml", "0"), ("uml", "0-1"), ("qemu", "0-1")]])

each_layout = pytest.mark.parametrize("lcores", LCORES, ids=[f"l{lcores}" for lcores in LCORES])
