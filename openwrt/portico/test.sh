#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run by the feed's CI on the installed package, where there is no netfilter.
#   test.sh PACKAGE VERSION

case "$1" in
portico | portico-dev)
	porticod --self-test || exit 1
	portico check /dev/stdin <<-'CONFIG' || exit 1
		{ "uplink": { "device": "wan" }, "inside": { "devices": ["br-lan"] },
		  "rules": "nftables", "fallback": "kernel" }
	CONFIG
	# Ships disabled.
	grep "option enabled '0'" "${IPKG_INSTROOT:-}/etc/config/portico"
	;;
prometheus-node-exporter-*-portico)
	# Collectors, run by the exporter only.
	;;
*)
	echo "test.sh: package $1 is not known" >&2
	exit 1
	;;
esac
