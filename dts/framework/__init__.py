# SPDX-License-Identifier: BSD-3-Clause
"""What the suites are written with: lab.py first, it holds everything together."""
