/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The whole example configuration, with comments of each kind.
 */
#ifndef PORTICO_TESTS_CONFIG_EXAMPLE_H
#define PORTICO_TESTS_CONFIG_EXAMPLE_H

/* Every key, at the default where it has one, comments of each kind. */
static const char config_example[] =
	"/*** Portico\n"
	" * the whole example **/\n"
	"{\n"
	"  // the side that faces the provider\n"
	"  \"uplink\":    { \"device\": \"wan0\", \"address\": \"auto\",\n"
	"                 \"ports\": \"1024-65535\",\n"
	"                 \"low_ports\": \"512-1023\",\n"
	"                 \"router_ports\": \"auto\" },\n"
	"  \"inside\":    { \"devices\": [\"lan0\"] },\n"
	"  \"filtering\": { \"udp\": \"endpoint-independent\",\n"
	"                 \"tcp\": \"address-dependent\",\n"
	"                 \"icmp\": \"address-dependent\" },\n"
	"  \"timeouts\":  { \"udp\": 300, \"tcp_opening\": 240,\n"
	"                 \"tcp_established\": 7440,/**/\"tcp_closing\": 240,\n"
	"                 \"icmp\": 60, \"other\": 600, \"port_hold\": 120 },\n"
	"  \"limits\":    { \"mappings\": 16384, \"sessions\": 65536,\n"
	"                 \"hosts\": 1024, \"host_mappings\": 4096,\n"
	"                 \"host_sessions\": 16384,\n"
	"                 \"mapping_sessions\": 512,\n"
	"                 \"host_new_per_second\": 200,\n"
	"                 \"held_ports\": 16384,\n"
	"                 \"icmp_per_second\": 100,\n"
	"                 \"host_icmp_per_second\": 10,\n"
	"                 \"tagged_sessions\": 1024,\n"
	"                 \"peer_tagged_sessions\": 64 },\n"
	"  \"behaviour\": { \"hairpin\": true, \"inbound_refresh\": true,\n"
	"                 \"icmp_after_6s\": false, \"refuse_code\": 13,\n"
	"                 \"parity\": true, \"martians_extra\": [],\n"
	"                 \"idle_probe\": true,\n"
	"                 \"protocols\": [\"dccp\", \"esp\", \"gre\",\n"
	"                               \"sctp\", \"udplite\"] },\n"
	"  \"fragments\": { \"entries\": 256, \"bytes\": 1048576,\n"
	"                 \"seconds\": 30 },\n"
	"  \"forwards\":  [ { \"name\": \"web\", \"proto\": \"tcp\",\n"
	"                   \"outside\": 8080, \"to\": \"192.168.1.10:80\",\n"
	"                   \"from\": [\"198.51.100.0/24\"] } ], // one\n"
	"  \"exempt\":    [\"10.8.0.0/16\"],\n"
	"  \"queue\":   { \"number\": 100, \"batch\": 64, \"gso\": \"auto\",\n"
	"                 \"mark\": \"0x03000000\" },\n"
	"  \"fast_path\": { \"enabled\": \"auto\", \"sessions\": 16384,\n"
	"                 \"after\": 16 },\n"
	"  \"rules\":     \"auto\",\n"
	"  \"forward_accept\": \"warn\",\n"
	"  \"fallback\":  \"closed\",\n"
	"  \"mss\":       \"auto\",\n"
	"  \"control\":   \"/run/portico/portico.sock\",\n"
	"  \"control_read\": \"/run/portico/monitor.sock\",\n"
	"  \"state\":     \"/run/portico/state\"\n"
	"}\n"
	"// the end";

#endif
