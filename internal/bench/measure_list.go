package main

// measurements are the sections of the report, in order: a line for each.
var measurements = []measurement{
	{name: "hit", measure: measureHit},
	{name: "tokens", measure: measureTokens},
	{name: "around", measure: measureAround},
	{name: "construct", measure: measureConstruction},
	{name: "cold", measure: measureCold},
	{name: "behaviour", measure: measureBehaviour, aside: true},
	{name: "federated", measure: measureFederated},
	{name: "exchanges", measure: measureSlowExchanges, aside: true},
	{name: "stall", measure: measureStall, aside: true, long: true},
	{name: "day", virtual: true, measure: measureDay},
	{name: "outage", virtual: true, measure: measureOutage},
	{name: "storm", virtual: true, measure: nodeStorm},
	{name: "fleet", virtual: true, measure: fleet, long: true},
	{name: "memory", measure: measureMemory},
	{name: "binary", measure: measureBinary, long: true},
}
