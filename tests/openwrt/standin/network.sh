# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=ash disable=SC3043
# In the place of OpenWrt's /lib/functions/network.sh: an interface is up when
# there is a file of its name, which holds its device.

network_get_device() {
	[ -e "$IPKG_INSTROOT/net/$2" ] || {
		eval "$1=''"
		return 1
	}
	eval "$1=\$(cat '$IPKG_INSTROOT/net/$2')"
}
