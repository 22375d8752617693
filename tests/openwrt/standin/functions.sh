# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=ash disable=SC3043,SC1090
# In the place of OpenWrt's /lib/functions.sh: what reads UCI files. These are
# shell by their form: words config, option and list, and comments.

CONFIG_SECTIONS=''
config_section=''
config_number=0

reset_cb() {
	config_cb() { return 0; }
	option_cb() { return 0; }
	list_cb() { return 0; }
}
reset_cb

config_set() { eval "CONFIG_$1_$2=\$3"; }

config() {
	config_number=$((config_number + 1))
	config_section=${2:-cfg$config_number}
	CONFIG_SECTIONS="$CONFIG_SECTIONS $config_section"
	config_set "$config_section" TYPE "$1"
	config_cb "$1" "$config_section"
}

option() {
	config_set "$config_section" "$1" "$2"
	option_cb "$1" "$2"
}

list() {
	local before

	config_get before "$config_section" "$1"
	config_set "$config_section" "$1" "$before${before:+ }$2"
	list_cb "$1" "$2"
}

# A line that cannot be read is left out and nothing is said: only `uci show`
# tells of it.
config_good() {
	grep -v "^[^']*'[^']*\$" "$IPKG_INSTROOT/etc/config/$1" \
		>"$IPKG_INSTROOT/config.good"
}

config_load() {
	CONFIG_SECTIONS=''
	config_number=0
	config_good "$1"
	. "$IPKG_INSTROOT/config.good"
	config_cb
}

config_get() { eval "$1=\${CONFIG_$2_$3:-\$4}"; }

config_get_bool() {
	config_get "$@"
	eval "case \"\$$1\" in
	1 | on | true | yes | enabled) $1=1 ;;
	0 | off | false | no | disabled) $1=0 ;;
	*) $1=\$4 ;;
	esac"
}

config_foreach() {
	local function="$1" type="$2" section found

	shift 2
	for section in $CONFIG_SECTIONS; do
		config_get found "$section" TYPE
		[ "$found" != "$type" ] || "$function" "$section" "$@"
	done
}
