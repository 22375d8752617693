-- SPDX-License-Identifier: GPL-2.0-or-later
-- Collector of prometheus-node-exporter-lua: what `portico --json status` says.
-- portico_up is 0, and nothing else is there, while no daemon runs. No labels by
-- host: hosts come and go, and who speaks to whom is nobody's metric.

local cjson = require "cjson"

local COMMAND = "portico --socket /run/portico/monitor.sock --json status 2>/dev/null"

-- metric, type, keys that lead to the number
local SINGLE = {
	{ "portico_uptime_seconds", "gauge", "uptime_s" },
	{ "portico_mappings", "gauge", "mappings", "used" },
	{ "portico_mappings_limit", "gauge", "mappings", "limit" },
	{ "portico_sessions", "gauge", "sessions", "used" },
	{ "portico_sessions_limit", "gauge", "sessions", "limit" },
	{ "portico_hosts", "gauge", "hosts", "used" },
	{ "portico_hosts_limit", "gauge", "hosts", "limit" },
	{ "portico_queue_waiting", "gauge", "queue", "waiting" },
	{ "portico_queue_packets_total", "counter", "queue", "packets" },
	{ "portico_held_overflow_total", "counter", "held_overflow" },
	{ "portico_icmp_suppressed_total", "counter", "icmp_suppressed" },
	{ "portico_moves_total", "counter", "moves", "count" },
	{ "portico_fast_path_sessions", "gauge", "fast_path", "sessions", "used" },
	{ "portico_fast_path_sessions_limit", "gauge", "fast_path", "sessions", "limit" },
	{ "portico_fast_path_packets_total", "counter", "fast_path", "packets" },
	{ "portico_fast_path_bytes_total", "counter", "fast_path", "bytes" },
	{ "portico_fast_path_no_room_total", "counter", "fast_path", "no_room" },
}

-- metric, type, label, key of the object whose members are labelled
local LABELLED = {
	{ "portico_packets_total", "counter", "direction", "packets" },
	{ "portico_bytes_total", "counter", "direction", "bytes" },
	{ "portico_drops_total", "counter", "reason", "drops" },
}

local PORTS = { "used", "held", "total" }
local QUEUE_LOSSES = { queue = "dropped", socket = "user_dropped" }

local function read_status()
	local pipe = io.popen(COMMAND)
	local text = pipe and pipe:read("*a") or ""

	if pipe then
		pipe:close()
	end
	local fine, status = pcall(cjson.decode, text)
	return fine and type(status) == "table" and status or nil
end

local function each(object, visit)
	local names = {}

	for name in pairs(object) do
		names[#names + 1] = name
	end
	table.sort(names)
	for _, name in ipairs(names) do
		visit(name, object[name])
	end
end

local function scrape_ports(status)
	local ports = metric("portico_ports", "gauge")

	each(status.ports, function(proto, counts)
		for _, state in ipairs(PORTS) do
			ports({ proto = proto, state = state }, counts[state])
		end
	end)
end

local function scrape_losses(status)
	local losses = metric("portico_queue_dropped_total", "counter")

	each(QUEUE_LOSSES, function(where, key)
		losses({ where = where }, status.queue[key])
	end)
end

local function scrape()
	local status = read_status()

	metric("portico_up", "gauge")({}, status and 1 or 0)
	if not status then
		return
	end
	for _, row in ipairs(SINGLE) do
		local value = status

		for i = 3, #row do
			value = value[row[i]]
		end
		metric(row[1], row[2])({}, value)
	end
	for _, row in ipairs(LABELLED) do
		local labelled = metric(row[1], row[2])

		each(status[row[4]], function(name, value)
			labelled({ [row[3]] = name }, value)
		end)
	end
	scrape_ports(status)
	scrape_losses(status)
	metric("portico_warnings", "gauge")({}, #status.warnings)
end

return { scrape = scrape }
