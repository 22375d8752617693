# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=ash disable=SC3043
# In the place of OpenWrt's /lib/functions/network.sh: an interface is up when
# there is a file of its name, which holds its device. What was found once is
# kept, also for programs that are started.

network_flush_cache() { unset __NETWORK_CACHE; }

network_get_device() {
	local __up

	[ -n "$__NETWORK_CACHE" ] || for __up in "$IPKG_INSTROOT/net/"*; do
		[ ! -e "$__up" ] || export __NETWORK_CACHE="$__NETWORK_CACHE
${__up##*/} $(cat "$__up")"
	done
	__up=$(echo "$__NETWORK_CACHE" | sed -n "s/^$2 //p")
	eval "$1=\$__up"
	[ -n "$__up" ]
}
