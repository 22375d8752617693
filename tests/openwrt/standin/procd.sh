# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=ash disable=SC3043
# In the place of OpenWrt's /lib/functions/procd.sh: what a script says to procd
# becomes lines for bin/ubus, words separated by tabs.

procd_message=''

procd_say() {
	local IFS='	'

	procd_message="$procd_message$*
"
}

procd_open_service() {
	procd_message=''
	procd_say service "$1"
}
procd_open_instance() { procd_say instance "$1"; }
procd_close_instance() { procd_say end; }
procd_set_param() { procd_say "$@"; }
procd_add_jail() { procd_say jail "$@"; }
procd_add_reload_trigger() { procd_say trigger "config.change" "$@"; }
procd_add_reload_interface_trigger() { procd_say trigger "interface.*" "$1"; }
procd_kill() { ubus call service delete </dev/null; }
procd_running() { [ "$(ubus call service list </dev/null)" = true ]; }
# As the real one, it takes the place of the message that is being made.
procd_send_signal() {
	procd_message=''
	printf '%s\t%s\n' "$2" "$3" | ubus call service signal
}

procd_close_service() {
	service_triggers
	printf '%s' "$procd_message" | ubus call service set
}

# As in the message of the real one, an array that is opened anew takes the place
# of the one before.
procd_open_validate() { procd_say validate; }
procd_close_validate() { :; }
procd_add_validation() {
	procd_open_validate
	"$@"
	procd_close_validate
}

uci_load_validate() {
	local _package="$1" _type="$2" _name="$3" _function="$4" _option _values
	local _result

	shift 4
	# Without a section's name validate_data describes the options to procd.
	# Only where it is asked for, as it takes its time.
	if [ -z "$_name" ]; then
		[ -z "${DESCRIBE:-}" ] || procd_say validation \
			"$(validate_data "$_package" "$_type" "" "$@")"
		return
	fi
	for _option in "$@"; do
		eval "local ${_option%%:*}"
	done
	_values=$(validate_data "$_package" "$_type" "$_name" "$@" 2>/dev/null)
	_result=$?
	eval "$_values"
	[ "$_result" = 0 ] ||
		validate_data "$_package" "$_type" "$_name" "$@" >/dev/null
	"$_function" "$_name" "$_result"
}
