# SPDX-License-Identifier: BSD-3-Clause
"""Where things are. VSW_BUILD names another build folder than build."""

import os
import pathlib

TOP = pathlib.Path(__file__).resolve().parents[2]
GUESTS = TOP / "dts" / "guests"
BUILD = TOP / os.environ.get("VSW_BUILD", "build")
LOGS = BUILD / "dts"
VSWD = BUILD / "app" / "vswd"
VSW = BUILD / "app" / "vsw"
VSW_STATIC = BUILD / "app" / "vsw-static"
if not VSW_STATIC.exists():  # a build with sanitizers
    VSW_STATIC = TOP / "build" / "app" / "vsw-static"
VSOCK_SHIM = BUILD / "test" / "vsock_shim.so"
VSOCK_TEST = BUILD / "vsock_test"
UML_XSTATE = BUILD / "dts" / "uml_xstate.so"
