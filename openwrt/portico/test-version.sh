#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run by the feed's CI: which programs say which version.

case "$PKG_NAME" in
portico | portico-dev)
	porticod --version | grep -F "$PKG_VERSION" &&
		portico --version | grep -F "$PKG_VERSION"
	;;
prometheus-node-exporter-*-portico)
	# Scripts, without a version of their own.
	;;
*)
	echo "test-version.sh: package $PKG_NAME is not known" >&2
	exit 1
	;;
esac
