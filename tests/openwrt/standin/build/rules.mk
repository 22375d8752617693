# SPDX-License-Identifier: GPL-2.0-or-later
# In the place of OpenWrt's rules.mk: how files are copied. TREE is the source,
# OUT where packages are put together.

INSTALL_DIR = mkdir -p
INSTALL_BIN = install -m 0755
INSTALL_DATA = install -m 0644
INSTALL_CONF = install -m 0600
CP = cp -fpR
LN = ln -sf
