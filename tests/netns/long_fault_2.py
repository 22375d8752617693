# SPDX-License-Identifier: GPL-2.0-or-later
"""A share of fault_all.py."""
from fault_all import tests

globals().update(tests(1))
