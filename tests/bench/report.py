# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of many rounds: medians, spread, ratios; as JSON and as tables."""
import json
import re
import statistics
import textwrap

WAYS = ("forward", "masquerade", "echo", "queue", "portico")
# Way, against which, and the key of the ratio.
RATIOS = (("portico", "masquerade", "ratio_masquerade"),
          ("portico", "echo", "ratio_echo"),
          ("portico", "forward", "ratio_forward"),
          ("queue", "masquerade", "ratio_queue_masquerade"),
          ("queue", "echo", "ratio_queue_echo"))
# Those that the tables have, with their heads as text and in Markdown.
SHOWN = {"ratio_masquerade": ("/masq.", "of masquerade"),
         "ratio_echo": ("/echo", "of the echo"),
         "ratio_queue_masquerade": ("queue/masq.", "queue of masquerade"),
         "ratio_queue_echo": ("queue/echo", "queue of the echo")}
HEADS = ("forwarding", "masquerade", "bare echo", "by the queue", "Portico")
# A figure is worth nothing when half of the rounds are further than this from
# their median.
NOISY = 0.10
GBIT, NS, RATE = "Gbit/s", "ns per packet", "per second"
US, MS, PERCENT = "us", "ms", "% of one processor"
KB, BYTES = "KB", "bytes"
HIGHER_IS_BETTER = {GBIT, RATE}
SHORT = {NS: "ns/packet", RATE: "/s", PERCENT: "% of a CPU"}
# Of section.name: unit and what it is.
FIGURES = {
    "datapath.tcp_out_1": (GBIT, "TCP, one flow out"),
    "datapath.tcp_out_8": (GBIT, "TCP, 8 flows out"),
    "datapath.tcp_in_1": (GBIT, "TCP, one flow in"),
    "datapath.tcp_in_8": (GBIT, "TCP, 8 flows in"),
    "datapath.udp_small_64": (NS, "64-byte UDP, 64 mappings"),
    "datapath.udp_small_10000": (NS, "64-byte UDP, 10,000 mappings"),
    "datapath.udp_small_60000": (NS, "64-byte UDP, 60,000 mappings"),
    "datapath.udp_lossless_64": (NS, "64-byte UDP, nothing lost"),
    "datapath.new_tcp": (RATE, "new TCP connections"),
    "datapath.new_udp": (RATE, "new UDP mappings"),
    "latency.idle_p50": (US, "round trip, idle, median"),
    "latency.idle_p99": (US, "round trip, idle, 99 %"),
    "latency.idle_p99_9": (US, "round trip, idle, 99.9 %"),
    "latency.load_p50": (US, "round trip, 50,000 packets/s, median"),
    "latency.load_p99": (US, "round trip, 50,000 packets/s, 99 %"),
    "latency.load_p99_9": (US, "round trip, 50,000 packets/s, 99.9 %"),
    "latency.bulk_p50": (US, "round trip, TCP of 8 flows out, median"),
    "latency.bulk_p99": (US, "round trip, TCP of 8 flows out, 99 %"),
    "latency.bulk_p99_9": (US, "round trip, TCP of 8 flows out, 99.9 %"),
    "cpu.udp_50000_pps": (PERCENT, "processor, 50,000 packets/s, one by one"),
    "cpu.udp_lossless_64": (NS, "processor, as many as pass"),
    "memory.mappings_0": (KB, "resident, no mapping, default limits"),
    "memory.mappings_1000": (KB, "resident, 1,000 mappings"),
    "memory.mappings_16000": (KB, "resident, 16,000 mappings"),
    "memory.mappings_60000": (KB, "resident, 60,000 mappings"),
    "memory.sessions_500000": (KB, "resident, 500,000 sessions"),
    "memory.mapping": (BYTES, "a mapping with its session, in use"),
    "recovery.first_answer": (MS, "`kill -9` to the first answer, 200 TCP, "
                                  "1,000 UDP"),
    "recovery.restoring": (MS, "of these, restoring the table"),
    "recovery.silence": (MS, "the longest silence of a carried session"),
}
MARKS = ("<!-- bench: begin -->", "<!-- bench: end -->")


def ratio(ours, theirs, unit):
    """Higher is better."""
    return ours / theirs if unit in HIGHER_IS_BETTER else theirs / ours


def noisy(values):
    middle = statistics.median(values)
    return statistics.median(abs(value - middle)
                             for value in values) > NOISY * middle


def entry(unit, by_way):
    middles = {way: statistics.median(values)
               for way, values in by_way.items()}
    out = {way: round(middle, 3) for way, middle in middles.items()}
    out.update({key: round(ratio(middles[way], middles[peer], unit), 3)
                for way, peer, key in RATIOS if {way, peer} <= set(middles)})
    if unit == US and "forward" in middles:
        out["above_forward"] = {
            way: round(middle - middles["forward"], 3)
            for way, middle in middles.items() if way != "forward"}
    out["unit"] = unit
    out["spread"] = {way: [round(min(values), 3), round(max(values), 3)]
                     for way, values in by_way.items()}
    out["noisy"] = [way for way, values in by_way.items() if noisy(values)]
    return out


def build(results, machine):
    report = {"machine": machine}
    # Beside the nanoseconds, which are without the generator's share.
    pace = {figure: results.pop(figure) for figure in list(results)
            if figure.startswith("pace.")}
    for figure, (unit, _) in FIGURES.items():
        section, name = figure.split(".")
        if figure in results:
            report.setdefault(section, {})[name] = entry(unit,
                                                         results[figure])
    for figure, by_way in pace.items():
        report["datapath"][figure.split(".")[1]]["packets_per_second"] = {
            way: round(statistics.median(values))
            for way, values in by_way.items()}
    return report


# --- tables -------------------------------------------------------------------

def amount(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def brief(value):
    return f"{value / 1000:.0f}k" if value >= 10000 else amount(value)


def rows(report):
    for figure, (unit, title) in FIGURES.items():
        section, name = figure.split(".")
        found = report.get(section, {}).get(name)
        if found:
            yield figure, unit, title, found


def ratio_cells(found):
    """A ratio with a noisy side has a mark."""
    for way, peer, key in RATIOS:
        if key in SHOWN:
            value = found.get(key)
            marked = {way, peer} & set(found["noisy"])
            yield "-" if value is None else f"{value:.2f}" + "?" * bool(marked)


def spread_cell(found, way):
    if way not in found:
        return "-"
    least, most = found["spread"][way]
    cell = brief(found[way]) + "?" * (way in found["noisy"])
    if least == most:
        return cell
    return f"{cell} ({brief(least)}-{brief(most)})"


def text(report):
    widths = [max(8, len(head) + 2) for head, _ in SHOWN.values()]
    lines = [f"{'':36}" + "".join(f"{way:>21}" for way in WAYS)
             + "".join(f"{head:>{width}}" for (head, _), width
                       in zip(SHOWN.values(), widths))]
    for figure, unit, _, found in rows(report):
        lines.append(f"{figure:25}{SHORT.get(unit, unit):11}" + "".join(
            f"{spread_cell(found, way):>21}" for way in WAYS)
            + "".join(f"{cell:>{width}}" for cell, width
                      in zip(ratio_cells(found), widths)))
    return "\n".join(lines + [""] + notes(report))


def notes(report):
    machine = report["machine"]
    doubtful = [f"{figure} ({', '.join(found['noisy'])})"
                for figure, _, _, found in rows(report) if found["noisy"]]
    lines = [f"Medians of {machine['rounds']} rounds in turn (least-most). "
             "Ratios are Portico against masquerade and the bare echo, then "
             "Portico by the queue alone; higher is better.",
             f"{machine['processors']} processors ({machine['model']}), Linux "
             f"{machine['kernel']}, {machine['iptables']}. Others used "
             f"{machine['others_before_percent']} % of them before the run, "
             f"{machine['others_percent']} % during it.",
             f"Generator and sink, taken off: {amount(machine['own_ns'])} ns "
             "a packet."]
    if machine["rounds"] < 3:
        lines.append("Fewer than 3 rounds: the spread says nothing, and the "
                     "figures little.")
    if doubtful:
        lines.append("?: worth nothing, as half of the rounds are more than "
                     f"{NOISY:.0%} off: " + "; ".join(doubtful) + ".")
    return lines + [f"{remark}." for remark in machine["remarks"]]


def markdown(report):
    heads = [*HEADS, *(head for _, head in SHOWN.values())]
    lines = ["| | | " + " | ".join(heads) + " |",
             "| --- | --- |" + " --- |" * len(heads)]
    for _, unit, title, found in rows(report):
        cells = [amount(found.get(way)) + "?" * (way in found["noisy"])
                 for way in WAYS]
        lines.append("| " + " | ".join(
            [title, unit, *cells, *ratio_cells(found)]) + " |")
    lines += engine_markdown(report.get("engine", {})) + [""]
    return "\n".join(lines + textwrap.wrap(" ".join(notes(report)), 118))


def engine_markdown(engine):
    """Operations down, sessions across."""
    table, sizes = {}, set()
    for key, value in engine.items():
        found = re.fullmatch(r"(\w+?)_(\d+)_ns", key)
        if found:
            operation, size = found[1], int(found[2])
            table.setdefault(operation, {})[size] = value
            sizes.add(size)
    if not table:
        return []
    sizes = sorted(sizes)
    lines = ["", "| engine alone, ns | " + " | ".join(
        f"{size:,} sessions" for size in sizes) + " | growth |",
        "| --- |" + " --- |" * (len(sizes) + 1)]
    for operation, row in table.items():
        growth = engine[f"{operation}_growth"]["value"]
        lines.append(f"| {operation.replace('_', ' ')} | " + " | ".join(
            amount(row[size]["value"]) + "?" * row[size]["noisy"]
            for size in sizes) + f" | {growth:.1f} |")
    return lines


def into(path, report):
    """The tables, between the marks in a file."""
    with open(path, encoding="utf-8") as file:
        whole = file.read()
    begin, end = (whole.find(mark) for mark in MARKS)
    if begin < 0 or end < begin:
        raise SystemExit(f"bench: {path} has no {MARKS[0]} and {MARKS[1]}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(whole[:begin] + MARKS[0] + "\n" + markdown(report) + "\n"
                   + whole[end:])


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def save(report, path):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
        file.write("\n")
