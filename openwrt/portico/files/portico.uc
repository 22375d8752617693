// SPDX-License-Identifier: GPL-2.0-or-later
// Collector of prometheus-node-exporter-ucode: the same metrics as portico.lua.
// The exporter is in a jail without a shell, the command and its socket, but with
// ubus: rpcd runs the command.

const COMMAND = {
	command: "/usr/bin/portico",
	params: [ "--socket", "/run/portico/monitor.sock", "--json", "status" ],
};

// metric, counter or gauge, keys that lead to the number
const SINGLE = [
	[ "portico_uptime_seconds", gauge, "uptime_s" ],
	[ "portico_mappings", gauge, "mappings", "used" ],
	[ "portico_mappings_limit", gauge, "mappings", "limit" ],
	[ "portico_sessions", gauge, "sessions", "used" ],
	[ "portico_sessions_limit", gauge, "sessions", "limit" ],
	[ "portico_hosts", gauge, "hosts", "used" ],
	[ "portico_hosts_limit", gauge, "hosts", "limit" ],
	[ "portico_queue_waiting", gauge, "queue", "waiting" ],
	[ "portico_queue_packets_total", counter, "queue", "packets" ],
	[ "portico_held_overflow_total", counter, "held_overflow" ],
	[ "portico_icmp_suppressed_total", counter, "icmp_suppressed" ],
	[ "portico_moves_total", counter, "moves", "count" ],
	[ "portico_fast_path_sessions", gauge, "fast_path", "sessions", "used" ],
	[ "portico_fast_path_sessions_limit", gauge, "fast_path", "sessions", "limit" ],
	[ "portico_fast_path_packets_total", counter, "fast_path", "packets" ],
	[ "portico_fast_path_bytes_total", counter, "fast_path", "bytes" ],
	[ "portico_fast_path_no_room_total", counter, "fast_path", "no_room" ],
];

// metric, label, key of the object whose members are labelled
const LABELLED = [
	[ "portico_packets_total", "direction", "packets" ],
	[ "portico_bytes_total", "direction", "bytes" ],
	[ "portico_drops_total", "reason", "drops" ],
];

const PORTS = [ "used", "held", "total" ];
const QUEUE_LOSSES = { queue: "dropped", socket: "user_dropped" };

const text = ubus.call("file", "exec", COMMAND)?.stdout;
const status = text ? json(text) : null;

gauge("portico_up")({}, status ? 1 : 0);
if (!status)
	return;

for (let row in SINGLE) {
	let value = status;

	for (let i = 2; i < length(row); i++)
		value = value[row[i]];
	row[1](row[0])({}, value);
}

for (let row in LABELLED) {
	const labelled = counter(row[0]);

	for (let name in sort(keys(status[row[2]]))) {
		let labels = {};

		labels[row[1]] = name;
		labelled(labels, status[row[2]][name]);
	}
}

const ports = gauge("portico_ports");

for (let proto in sort(keys(status.ports)))
	for (let state in PORTS)
		ports({ proto: proto, state: state }, status.ports[proto][state]);

const losses = counter("portico_queue_dropped_total");

for (let where in sort(keys(QUEUE_LOSSES)))
	losses({ where: where }, status.queue[QUEUE_LOSSES[where]]);

gauge("portico_warnings")({}, length(status.warnings));
