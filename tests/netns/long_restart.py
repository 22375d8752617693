# SPDX-License-Identifier: GPL-2.0-or-later
"""The table survives: the full count (make check-long)."""
from restart import kill_often
from tools import limit


@limit(1500)
def test_200_kills_under_load_lose_nothing(lab):
    lab.need_portico()
    return kill_often(lab, 7300, 200, 200, 1000)
