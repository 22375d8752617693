// SPDX-License-Identifier: GPL-2.0-or-later
// In the place of prometheus-node-exporter-ucode, and of rpcd behind ubus: runs
// one collector and prints its metrics.
//   ucode exporter.uc COLLECTOR

import * as fs from "fs";

function metric(name, kind) {
	print(`# TYPE ${name} ${kind}\n`);
	return function(labels, value) {
		let words = [];

		for (let label in sort(keys(labels)))
			push(words, `${label}="${labels[label]}"`);
		print(name, length(words) ? `{${join(",", words)}}` : "", ` ${value}\n`);
	};
}

function exec(object, method, program) {
	const pipe = fs.popen(join(" ", [ replace(program.command, /^.*\//, ""), ...program.params ]));
	const stdout = pipe.read("all");

	return { code: pipe.close(), ...(stdout ? { stdout } : {}) };
}

call(loadfile(ARGV[0], { strict_declarations: true, raw_mode: true }), null, {
	ubus: { call: exec },
	gauge: (name) => metric(name, "gauge"),
	counter: (name) => metric(name, "counter"),
});
