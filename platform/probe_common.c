/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probes that UDP and TCP have in common: RFC 5780 4.3 (mapping), 4.4
 * (filtering), 4.5 (hairpin), each with the outside port as the servers see it
 * in place of a STUN answer that says so, and the collision of two hosts.
 */
#include <string.h>

#include "probe.h"

#define HAIRPIN_WAIT_MS 400
#define HAIRPIN_ROUNDS 2
/* Outside ports that differ by less count as predictable. */
#define STEP_MAX 32

static const struct probe_socket server_1 = { PROBE_SERVER_1, PROBE_PORT_1 };
static const struct probe_socket server_1_other_port = { PROBE_SERVER_1,
							 PROBE_PORT_2 };
static const struct probe_socket server_2 = { PROBE_SERVER_2, PROBE_PORT_1 };
static const struct probe_socket server_2_other_port = { PROBE_SERVER_2,
							 PROBE_PORT_2 };

uint16_t probe_open(struct probe_bench *bench,
		    const struct probe_transport *transport,
		    struct probe_socket inside, struct probe_socket peer)
{
	struct probe_packet packet;

	transport->first(&packet, inside, peer, probe_next_tag(bench));
	if (!probe_crosses(bench, PROBE_INSIDE, PROBE_OUTSIDE, &packet))
		return 0;
	if (bench->view.from.addr != PROBE_UPLINK ||
	    !probe_is(bench->view.to, peer.addr, peer.port))
		return 0;
	return bench->view.from.port;
}

/* --- mapping ------------------------------------------------------------- */

enum probe_mapping probe_mapping_of(const uint16_t ports[3])
{
	if (!ports[0] || !ports[1] || !ports[2])
		return PROBE_MAPPING_UNKNOWN;
	if (ports[0] == ports[1] && ports[1] == ports[2])
		return PROBE_MAPPING_ENDPOINT_INDEPENDENT;
	/* Not the same for one address' ports: whatever the addresses do. */
	return ports[1] == ports[2] ? PROBE_MAPPING_ADDRESS_DEPENDENT :
				      PROBE_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
}

static void map(struct probe_bench *bench,
		const struct probe_transport *transport,
		struct probe_socket inside, uint16_t ports[3])
{
	ports[0] = probe_open(bench, transport, inside, server_1);
	ports[1] = probe_open(bench, transport, inside, server_2);
	ports[2] = probe_open(bench, transport, inside, server_2_other_port);
}

static enum probe_answer predictable(const uint16_t ports[3])
{
	int step = ports[1] - ports[0];

	if (!ports[0] || !ports[1] || !ports[2])
		return PROBE_UNKNOWN;
	return probe_answer_of(ports[2] - ports[1] == step && step < STEP_MAX &&
			       step > -STEP_MAX);
}

/* --- filtering ----------------------------------------------------------- */

static enum probe_answer gets_in(struct probe_bench *bench,
				 const struct probe_transport *transport,
				 struct probe_socket peer, uint16_t port)
{
	const struct probe_socket outside = { PROBE_UPLINK, port };
	struct probe_packet packet, control;

	transport->first(&packet, peer, outside, probe_next_tag(bench));
	transport->later(&control, server_1, outside, probe_next_tag(bench));
	return probe_admitted(bench, &packet, &control);
}

/* Of a socket that has sent nothing yet. */
static enum probe_filtering filter(struct probe_bench *bench,
				   const struct probe_transport *transport,
				   struct probe_socket inside)
{
	uint16_t port = probe_open(bench, transport, inside, server_1);
	enum probe_answer address, other_port;

	if (!port || !transport->settle(bench, inside, server_1, port))
		return PROBE_FILTERING_UNKNOWN;
	address = gets_in(bench, transport, server_2_other_port, port);
	if (address == PROBE_YES)
		return PROBE_FILTERING_ENDPOINT_INDEPENDENT;
	other_port = gets_in(bench, transport, server_1_other_port, port);
	if (!address || !other_port)
		return PROBE_FILTERING_UNKNOWN;
	return other_port == PROBE_YES ?
		       PROBE_FILTERING_ADDRESS_DEPENDENT :
		       PROBE_FILTERING_ADDRESS_AND_PORT_DEPENDENT;
}

/* --- hairpin ------------------------------------------------------------- */

struct hairpin {
	struct probe_socket inside[2];
	uint16_t port[2];
};

/* From one of the two to the other's outside socket. */
static bool turns_back(struct probe_bench *bench,
		       const struct probe_transport *transport,
		       const struct hairpin *pair, int from)
{
	const struct probe_socket to = { PROBE_UPLINK, pair->port[!from] };
	const struct probe_socket *target = &pair->inside[!from];
	struct probe_packet packet;
	uint32_t tag = probe_next_tag(bench);

	transport->first(&packet, pair->inside[from], to, tag);
	if (bench->way->send(bench->way, PROBE_INSIDE, &packet) ||
	    !probe_arrives(bench, PROBE_INSIDE, transport->proto, tag,
			   HAIRPIN_WAIT_MS) ||
	    !probe_is(bench->view.to, target->addr, target->port))
		return false;
	bench->facts->hairpin_source = probe_answer_of(
		bench->facts->hairpin_source != PROBE_NO &&
		probe_is(bench->view.from, PROBE_UPLINK, pair->port[from]));
	return true;
}

/* Both send, as programs that make a hole do: where filtering depends on the
 * address, the first packet of the first one opens the way for the second's
 * only. */
static bool pair_meets(struct probe_bench *bench,
		       const struct probe_transport *transport,
		       const struct hairpin *pair)
{
	bool first = turns_back(bench, transport, pair, 0);
	bool second = turns_back(bench, transport, pair, 1);

	return second && (first || turns_back(bench, transport, pair, 0));
}

static enum probe_answer hairpin(struct probe_bench *bench,
				 const struct probe_transport *transport)
{
	struct hairpin pair = { .inside = { { PROBE_HOST_1, 0 },
					    { PROBE_HOST_2, 0 } } };

	for (int i = 0; i < 2; i++) {
		pair.inside[i].port = probe_next_port(bench);
		pair.port[i] =
			probe_open(bench, transport, pair.inside[i], server_1);
		if (!pair.port[i])
			return PROBE_UNKNOWN;
	}
	for (int i = 0; i < HAIRPIN_ROUNDS; i++)
		if (pair_meets(bench, transport, &pair))
			return PROBE_YES;
	return PROBE_NO;
}

/* --- all ----------------------------------------------------------------- */

/* Some facts are of UDP and TCP both: yes when it is for both. */
static void combine(const struct probe_transport *transport,
		    enum probe_answer *fact, enum probe_answer answer)
{
	if (transport->which == PROBE_FOR_UDP || answer == PROBE_NO ||
	    (answer == PROBE_UNKNOWN && *fact == PROBE_YES))
		*fact = answer;
}

/* RFC 4787 REQ-11: the second host's mapping and filtering are of the same
 * class although its ports were taken by the first. */
static enum probe_answer same_class(struct probe_bench *bench,
				    const struct probe_transport *transport,
				    enum probe_mapping mapping,
				    struct probe_socket second)
{
	const struct probe_facts *facts = bench->facts;
	enum probe_filtering filtering = filter(bench, transport, second);

	if (!mapping || !filtering)
		return PROBE_UNKNOWN;
	return probe_answer_of(mapping == facts->mapping[transport->which] &&
			       filtering == facts->filtering[transport->which]);
}

/* Two hosts have sent from this port, and had these outside ports. */
static void collide(struct probe_bench *bench,
		    const struct probe_transport *transport, uint16_t inside,
		    const uint16_t outside[2])
{
	struct probe_facts *facts = bench->facts;
	enum probe_answer apart = PROBE_UNKNOWN, parity = PROBE_UNKNOWN;

	if (outside[0] && outside[1]) {
		apart = probe_answer_of(outside[0] != outside[1]);
		parity = probe_answer_of((outside[1] & 1) == (inside & 1));
	}
	combine(transport, &facts->not_shared, apart);
	combine(transport, &facts->parity, parity);
}

static enum probe_answer preserved(const struct probe_bench *bench,
				   uint16_t inside, uint16_t outside)
{
	if (!outside ||
	    !nat_portset_has(&bench->setup->nat.pool[NAT_POOL_UDP], inside))
		return PROBE_UNKNOWN;
	return probe_answer_of(inside == outside);
}

void probe_common(struct probe_bench *bench,
		  const struct probe_transport *transport)
{
	struct probe_facts *facts = bench->facts;
	const int which = transport->which;
	struct probe_socket mapped = { PROBE_HOST_1, probe_next_port(bench) };
	struct probe_socket filtered = { PROBE_HOST_1, probe_next_port(bench) };
	uint16_t ports[3], other[3];

	map(bench, transport, mapped, ports);
	facts->mapping[which] = probe_mapping_of(ports);
	combine(transport, &facts->preserved,
		preserved(bench, mapped.port, ports[0]));
	if (which == PROBE_FOR_UDP) {
		facts->predictable = predictable(ports);
		facts->life_left_s = bench->way->life_left(bench->way, mapped);
	}
	facts->filtering[which] = filter(bench, transport, filtered);
	mapped.addr = filtered.addr = PROBE_HOST_2;
	map(bench, transport, mapped, other);
	collide(bench, transport, mapped.port,
		(const uint16_t[]){ ports[0], other[0] });
	combine(transport, &facts->same_class,
		same_class(bench, transport, probe_mapping_of(other),
			   filtered));
	facts->hairpin[which] = hairpin(bench, transport);
}
