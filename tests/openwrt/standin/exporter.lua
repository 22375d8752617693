-- SPDX-License-Identifier: GPL-2.0-or-later
-- In the place of prometheus-node-exporter-lua: runs one collector and prints
-- its metrics. Refuses what the text format does not allow.
--   lua exporter.lua COLLECTOR

local declared = {}

local function labels_of(labels)
	local words = {}

	for name, value in pairs(labels or {}) do
		words[#words + 1] = string.format('%s="%s"', name, value)
	end
	table.sort(words)
	return #words > 0 and "{" .. table.concat(words, ",") .. "}" or ""
end

function metric(name, kind)
	assert(kind == "gauge" or kind == "counter", "kind of " .. name)
	assert(not declared[name], name .. " is declared twice")
	assert((kind == "counter") == (name:match("_total$") ~= nil),
		name .. ": counters, and only they, end in _total")
	declared[name] = true
	print("# TYPE " .. name .. " " .. kind)
	return function(labels, value)
		assert(type(value) == "number", name .. " is no number")
		print(name .. labels_of(labels) .. " " .. string.format("%.14g", value))
	end
end

dofile(arg[1]).scrape()
