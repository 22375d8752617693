# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2034 # the variables are for who reads this in
# Read in by run and size: what the table of targets says, and how to build for
# one. To be used in the tree's top folder.

here=tests/cross
out=${BUILD:-build}/cross
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)

# As OpenWrt compiles: for size, hardened (the Makefile hardens as well), and
# without what nobody calls.
OPENWRT="-Os -fno-caller-saves -fno-plt -Werror=format-security"
OPENWRT="$OPENWRT -ffunction-sections -fdata-sections"

# field TARGET COLUMN: of the table; from the seventh on to the line's end.
field() {
	awk -v target="$1" -v column="$2" '$1 == target {
		for (i = 1; i < column; i++)
			sub(/^[^ ]+ */, "")
		if (column < 7)
			sub(/ .*/, "")
		print
	}' "$here/targets"
}

# Those that are tested: the machine's own is for comparison.
targets() {
	awk '!/^#/ && NF && $3 != "native" { print $1 }' "$here/targets"
}

# The target that is meant from now on.
set_up() {
	target=$1
	work=$out/$target
	prefix=$work/usr
	objects=$work/portico
	CC=$(field "$target" 2)
	host=$(field "$target" 3)
	flags=$(field "$target" 7)
	emulate=$(field "$target" 4)
	if [ "$emulate" = - ]; then
		emulate=""
	else
		emulate="$emulate -cpu $(field "$target" 5)"
		emulate="$emulate -L $(field "$target" 6)"
	fi
	mkdir -p "$work"
}

make_with() {
	"${MAKE:-make}" --no-print-directory -j"${JOBS:-2}" CC="$CC" \
		BUILD="$objects" CFLAGS="$OPENWRT $flags" FAULT=no BPF=no \
		WERROR=1 "$@"
}

# build GOAL...: with libraries of the target's own; what make says is in
# $work/build.log.
build() {
	if [ "$host" = native ]; then
		make_with LDFLAGS=-Wl,--gc-sections "$@"
	else
		CC=$CC HOST=$host CFLAGS="-Os -fPIC $flags" \
			"$here/libraries" "$out" "$target" >&2 &&
			PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig make_with \
				PKG_CONFIG="pkg-config --static" \
				CPPFLAGS="-isystem $prefix/include" \
				LDFLAGS="-L$prefix/lib -Wl,--gc-sections" "$@"
	fi >"$work/build.log" || {
		tail -n 20 "$work/build.log" >&2
		return 1
	}
}
