# SPDX-License-Identifier: GPL-2.0-or-later
# In the place of OpenWrt's bpf.mk: what it gives to packages.

BPF_DEPENDS := @HAS_BPF_TOOLCHAIN
