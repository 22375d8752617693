# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=ash disable=SC3043,SC2317,SC2089,SC2090,SC2034
# (ash has local; callbacks; the quotes are for validate_data; what init reads)
#
# Turns /etc/config/portico into the daemon's configuration: options keep their
# names, logical interfaces become devices. Everything is checked here by type;
# what the words mean is checked by the daemon (porticod --check-config).
# Read by the init script; needs lib/functions/network.sh.

PORTICO_NEWLINE='
'

# section, option, type of libvalidate, what it is in JSON (text, number, flag,
# list, choice: text unless it is `none`, then ""; switch: text, with a flag's
# words for on and off; - for nothing), and restart where a running daemon cannot
# take a change.
PORTICO_OPTIONS='
main enabled bool - -
main fallback or("kernel","closed") text -
main rules or("auto","nftables","iptables") text restart
main forward_accept or("warn","insert") text -
main mss or("auto","off") text -
main sandbox or("auto","require","off") text restart
main exempt list(cidr4) list -
uplink interface network - -
uplink address or("auto",ip4addr) text restart
uplink ports string text -
uplink low_ports string choice -
uplink router_ports or("auto",portrange) text -
inside interface list(network) - -
filtering udp or("endpoint-independent","address-dependent","address-and-port-dependent") text -
filtering tcp or("endpoint-independent","address-dependent","address-and-port-dependent") text -
filtering icmp or("endpoint-independent","address-dependent","address-and-port-dependent") text -
timeouts udp range(1,604800) number -
timeouts tcp_opening range(1,604800) number -
timeouts tcp_established range(1,604800) number -
timeouts tcp_closing range(1,604800) number -
timeouts icmp range(1,604800) number -
timeouts other range(1,604800) number -
timeouts port_hold range(0,604800) number -
limits mappings min(1) number restart
limits sessions min(1) number restart
limits hosts min(1) number restart
limits host_mappings min(1) number -
limits host_sessions min(1) number -
limits mapping_sessions range(1,1024) number -
limits host_new_per_second min(1) number -
limits host_guaranteed uinteger number -
limits tagged_sessions uinteger number restart
limits peer_tagged_sessions range(1,1024) number -
limits icmp_per_second range(0,10000) number -
limits host_icmp_per_second range(0,10000) number -
limits held_ports min(1) number restart
behaviour hairpin bool flag -
behaviour inbound_refresh bool flag -
behaviour icmp_after_6s bool flag -
behaviour refuse_code or("13","1") number -
behaviour parity bool flag -
behaviour idle_probe bool flag -
behaviour martians_extra list(cidr4) list -
behaviour protocols list(or("dccp","esp","gre","sctp","udplite")) list -
fragments entries min(1) number restart
fragments bytes min(1) number restart
fragments seconds range(2,120) number -
queue number range(0,65534) number restart
queue batch range(1,64) number restart
queue gso or("auto","on","off") text restart
queue mark string text restart
queue nice range(-20,0) number restart
fast_path enabled or("auto",bool) switch restart
fast_path sessions range(1,1048575) number restart
fast_path after range(1,1000000) number -
forward enabled bool - -
forward name maxlength(31) text -
forward proto list(or("tcp","udp")) list -
forward outside or(port,portrange) text -
forward to string text -
forward from list(cidr4) list -
'

# Sections of one kind each; `portico` is the type of the one called main.
PORTICO_SECTIONS='main uplink inside filtering timeouts limits behaviour fragments queue fast_path'

portico_log() {
	logger -s -t portico -p "daemon.$1" "$2"
}

# The words that libvalidate takes for a bool.
portico_is_on() {
	case "$1" in
	1 | [Oo][Nn] | [Tt][Rr][Uu][Ee] | [Yy][Ee][Ss] | \
		[Ee][Nn][Aa][Bb][Ll][Ee][Dd]) return 0 ;;
	esac
	return 1
}

portico_is_off() {
	case "$1" in
	0 | [Oo][Ff][Ff] | [Ff][Aa][Ll][Ss][Ee] | [Nn][Oo] | \
		[Dd][Ii][Ss][Aa][Bb][Ll][Ee][Dd]) return 0 ;;
	esac
	return 1
}

# --- what is known -----------------------------------------------------------

portico_type() {
	[ "$1" = main ] && echo portico || echo "$1"
}

# portico_known SECTION OPTION: whether it is in the table.
portico_known() {
	case "$PORTICO_NEWLINE$PORTICO_OPTIONS" in
	*"$PORTICO_NEWLINE$1 $2 "*) return 0 ;;
	esac
	return 1
}

# portico_load: reads the file, `enabled` into portico_enabled, and takes note, in
# portico_unknown, of what cannot be read and of a word that nobody would read.
# It is an error, as it is in the daemon's own file: a misspelled `from` would
# open a forward to everyone.
portico_load() {
	local portico_section='' said

	portico_unknown='' portico_enabled=''
	config_cb() { portico_meet_section "$@"; }
	option_cb() { portico_meet_option "$@"; }
	list_cb() { portico_meet_option "$@"; }
	config_load portico
	reset_cb
	# Which leaves out what it cannot read, without a word.
	said=$(uci show portico 2>&1 >/dev/null) ||
		portico_unknown=${said#uci: }
	config_get portico_enabled main enabled
	[ -n "$portico_unknown" ] || portico_is_on "$portico_enabled" ||
		portico_is_off "$portico_enabled" ||
		portico_unknown="config portico 'main': option enabled is neither 1 nor 0"
}

# Only by a word that says so: a mistake is not taken for it.
portico_switched_off() {
	[ -z "$portico_unknown" ] && portico_is_off "$portico_enabled"
}

portico_meet_section() {
	portico_section=''
	case "$1:$2" in
	:*) ;;
	portico:main) portico_section=main ;;
	portico:* | main:*) portico_unknown="config $1 '$2', expected 'main'" ;;
	*)
		case " $PORTICO_SECTIONS forward " in
		*" $1 "*) portico_section=$1 ;;
		*) portico_unknown="config $1 is not known" ;;
		esac
		;;
	esac
}

portico_meet_option() {
	[ -z "$portico_section" ] || portico_known "$portico_section" "$1" ||
		portico_unknown="config $(portico_type "$portico_section"): option $1 is not known"
}

# --- validation --------------------------------------------------------------

# portico_rows SECTION FUNCTION: calls FUNCTION OPTION TYPE KIND RESTART for each
# line of the table. (`read` would take it byte by byte, each a system call.)
portico_rows() {
	local row IFS="$PORTICO_NEWLINE"

	for row in $PORTICO_OPTIONS; do
		case "$row" in
		"$1 "*)
			IFS=' '
			# shellcheck disable=SC2086 # four words
			"$2" ${row#* }
			;;
		esac
	done
}

portico_spec() {
	portico_specs="$portico_specs '$1:$2'"
}

# portico_validate SECTION NAME FUNCTION: FUNCTION is called with NAME and 0 if
# all is well. Without NAME it tells procd. What an option says is not taken from
# here: libvalidate knows `False` for a bool but makes nothing of it, and leaves
# out what is wrong in a list, as long as the last item is not.
portico_validate() {
	local portico_specs=''

	portico_rows "$1" portico_spec
	eval "uci_load_validate portico $(portico_type "$1") \"\$2\" \"\$3\" \
		$portico_specs"
}

# portico_complaint NAME: what libvalidate has against a section.
portico_complaint() {
	eval "validate_data portico $(portico_type "$portico_section") \"\$1\" \
		$portico_specs" 2>&1 >/dev/null |
		sed -n '/ with false$/ {
			s/ with false$//
			s/^[^=]*\.//
			s/^\([a-z0-9_]*\)[^=]*=/option \1: found "/
			s/ validates as /", expected /
			p
			q
		}'
}

# --- JSON --------------------------------------------------------------------

# Text as it stands between the quotes of a JSON string.
portico_quote() {
	case "$1" in
	*[\\\"]*) printf '%s' "$1" | sed 's/[\\"]/\\&/g' ;;
	*) printf '%s' "$1" ;;
	esac
}

# portico_value KIND TEXT
portico_value() {
	local word list=''

	case "$1:$2" in
	# A list where one number is wanted: for the daemon to refuse.
	number:*' '*) portico_value text "$2" ;;
	# libvalidate takes 0x10 and 010, JSON does not.
	number:*) printf '%d' "$(($2))" ;;
	flag:*)
		if portico_is_on "$2"; then
			printf true
		elif portico_is_off "$2"; then
			printf false
		else
			portico_value text "$2"
		fi
		;;
	switch:*)
		if portico_is_on "$2"; then
			portico_value text on
		elif portico_is_off "$2"; then
			portico_value text off
		else
			portico_value text "$2"
		fi
		;;
	list:*)
		set -f
		for word in $2; do
			list="$list${list:+, }\"$(portico_quote "$word")\""
		done
		set +f
		printf '[%s]' "$list"
		;;
	choice:*) portico_value text "${2#none}" ;;
	*) printf '"%s"' "$(portico_quote "$2")" ;;
	esac
}

# portico_add LINE: to $members, one line each.
portico_add() {
	members="$members${members:+,$PORTICO_NEWLINE}$1"
}

# portico_member OPTION TYPE KIND RESTART: adds the section's option, if set.
portico_member() {
	local value

	[ "$3" != - ] || return 0
	config_get value "$portico_name" "$1"
	[ -n "$value" ] || return 0
	value="\"$1\": $(portico_value "$3" "$value")"
	[ "$4" != restart ] || value="/* restart */ $value"
	portico_add "$value"
}

# portico_object NAME: puts $members into the document, unless there are none.
portico_object() {
	local object="$members"

	members="$document"
	[ -z "$object" ] ||
		portico_add "\"$1\": {$PORTICO_NEWLINE$object$PORTICO_NEWLINE}"
	document="$members"
}

# --- devices -----------------------------------------------------------------

# portico_add_device INTERFACE PREFIX: adds its line to $members; none twice. An
# interface that is down keeps the device it has in the configuration in force:
# the daemon waits for it, also one that begins again. One that was never up has
# none.
portico_add_device() {
	local device=''

	network_get_device device "$1" || device=''
	[ -n "$device" ] || device=$(sed -n \
		"s|^/\* restart, interface $1 \*/.*\"\([^\"]*\)\",\{0,1\}\$|\1|p" \
		"$portico_in_force" 2>/dev/null)
	if [ -z "$device" ]; then
		portico_missing="$portico_missing $1"
		uci -q get "network.$1" >/dev/null ||
			portico_missing="$portico_missing (not in /etc/config/network)"
	else
		case "$members" in
		*"\"$device\""*) ;;
		*) portico_add "/* restart, interface $1 */ $2\"$(portico_quote "$device")\"" ;;
		esac
	fi
}

# --- the document ------------------------------------------------------------

# portico_default OPTION TEXT: what it says where it is not set.
portico_default() {
	local value

	config_get value "$portico_name" "$1" "$2"
	config_set "$portico_name" "$1" "$value"
}

portico_take_main() {
	portico_default fallback kernel
	portico_default rules nftables
	portico_default mss off
	portico_rows main portico_member
	document="$members"
}

# portico_get_interface: the names into $interface, the caller's.
portico_get_interface() {
	config_get interface "$portico_name" interface
	case "$interface" in
	*[!A-Za-z0-9_.\ -]*)
		portico_wrong="config $portico_section: $interface is no interface"
		interface=''
		;;
	esac
}

portico_take_uplink() {
	local interface

	portico_get_interface
	case "$interface" in
	'') portico_wrong=${portico_wrong:-config uplink has no interface} ;;
	*' '*) portico_wrong="config uplink: only one interface, not $interface" ;;
	esac
	portico_add_device "$interface" '"device": '
	portico_up=$members
	portico_rows uplink portico_member
	portico_object uplink
}

portico_take_inside() {
	local one interface

	portico_get_interface
	for one in $interface; do
		portico_add_device "$one" ''
	done
	portico_up=$members
	[ -z "$members" ] ||
		members="\"devices\": [$PORTICO_NEWLINE$members$PORTICO_NEWLINE]"
	portico_object inside
}

# portico_take NAME RESULT: one section.
portico_take() {
	local members='' enabled portico_name="$1"

	if [ "$2" != 0 ]; then
		portico_wrong="config $(portico_type "$portico_section") '$1': $(
			portico_complaint "$1")"
		return
	fi
	case "$portico_section" in
	main | uplink | inside) "portico_take_$portico_section" ;;
	forward)
		config_get enabled "$1" enabled 1
		! portico_is_on "$enabled" ||
			portico_rows forward portico_member
		[ -z "$members" ] ||
			forwards="$forwards${forwards:+,$PORTICO_NEWLINE}{ $members }"
		;;
	*)
		portico_rows "$portico_section" portico_member
		portico_object "$portico_section"
		;;
	esac
}

portico_check() {
	portico_count=$((portico_count + 1))
	portico_validate "$portico_section" "$1" portico_take
}

# portico_sections SECTION: takes those of a kind; how many is in portico_count.
portico_sections() {
	portico_section=$1
	portico_count=0
	portico_up=''
	config_foreach portico_check "$(portico_type "$1")"
	[ "$1" = forward ] || [ "$portico_count" -le 1 ] ||
		portico_wrong="config $(portico_type "$1") stands there twice"
}

# portico_render CONFIGURATION-IN-FORCE: prints the daemon's configuration.
# 1: /etc/config/portico is wrong, the log says how; 2: an interface that is
# needed was not up yet.
portico_render() {
	local document='' forwards='' section
	local portico_wrong="$portico_unknown" portico_missing='' portico_up
	local portico_section portico_count portico_waits=''
	local portico_in_force="$1"

	[ -n "$portico_wrong" ] || for section in $PORTICO_SECTIONS forward; do
		portico_sections "$section"
		case "$section:$portico_count:$portico_up" in
		uplink:0:* | inside:0:*) portico_wrong="there is no config $section" ;;
		uplink:*: | inside:*:) portico_waits=1 ;;
		esac
	done
	if [ -n "$portico_wrong" ]; then
		portico_log err "/etc/config/portico: $portico_wrong"
		return 1
	fi
	[ -z "$portico_missing" ] ||
		portico_log notice "not up yet:$portico_missing"
	[ -z "$portico_waits" ] || return 2
	printf '{\n%s%s\n}\n' "$document" "${forwards:+,$PORTICO_NEWLINE\"forwards\": [
$forwards
]}"
}

# portico_interfaces: the logical interfaces that the configuration names.
portico_interfaces() {
	local section list

	for section in uplink inside; do
		config_foreach portico_interfaces_of "$section"
	done
}

portico_interfaces_of() {
	local list

	config_get list "$1" interface
	echo "$list"
}

# portico_restart_part FILE: the lines that a running daemon cannot take over,
# whatever follows them.
portico_restart_part() {
	sed -n '/^\/\* restart/s/,*$//p' "$1" 2>/dev/null
}

# --- fw4 ---------------------------------------------------------------------

# fw4 refuses what conntrack does not know, so translated packets from outside
# need an accept before its own rules: the lower bit of the mark says that they
# are. What leaves stays for the zones and their rules to decide.
# portico_accept CONFIGURATION FILE: writes it, and has fw4 read it if need be.
portico_accept() {
	local mark bit line chain
	local comment="portico: translated, from outside"

	mark=$(sed -n 's|.*"mark": "\([0-9a-fA-FxX]*\)".*|\1|p' "$1")
	mark=$((${mark:-0x03000000}))
	bit=$(printf '0x%08x' $((mark & -mark)))
	line="meta mark & $bit != 0 accept comment \"$comment\""
	chain=$(nft list chain inet fw4 forward 2>/dev/null)
	if [ "$(cat "$2" 2>/dev/null)" = "$line" ]; then
		case "$chain" in
		*"$comment"*) return 0 ;;
		esac
	else
		mkdir -p "${2%/*}"
		echo "$line" >"$2"
	fi
	[ -n "$chain" ] || return 0
	case "$(uci -q get firewall.@defaults[0].auto_includes)" in
	0 | off | false | no)
		portico_log warn "fw4 leaves out $2 (auto_includes is 0) and refuses translated packets from outside"
		;;
	*) fw4 -q reload || true ;;
	esac
}

# portico_refuse FILE: takes it away again.
portico_refuse() {
	[ -e "$1" ] || return 0
	rm -f "$1"
	! nft list chain inet fw4 forward >/dev/null 2>&1 ||
		fw4 -q reload || true
}
