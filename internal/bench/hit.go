package main

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"cloud.google.com/go/auth"
	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/oauth2"
)

const hitBound = 1.25

// awsBound is "not slower": one in twenty is what the placement of code in memory alone makes.
const awsBound = 1.05

const limitOfHit = "a function with GetToken's signature that does one lock-free look-up of the " +
	"scope, one reading of the clock, and one copy of the token"

// singleHits are all who hold one token, warm.
func singleHits(ctx context.Context) ([]contender, error) {
	setAppService(nowhere)
	const scope = "https://vault.azure.net/.default"
	transport := &fake{}
	o, err := newOurs(transport)
	if err != nil {
		return nil, err
	}
	azid, err := newAzidentity(transport)
	if err != nil {
		return nil, err
	}
	m, err := newMSAL(transport)
	if err != nil {
		return nil, err
	}
	a := aws.NewCredentialsCache(awsProvider(madeUp))
	if _, err := a.Retrieve(ctx); err != nil {
		return nil, err
	}
	all := []contender{
		{theLimit, oneHit(newLimit([]string{scope}), scope)},
		{ours, oneHit(o, scope)},
		{azIdentity, oneHit(azid, scope)},
		{msal, msalHit(m, scope)},
		{awsCache, awsHit(a)},
		{gcpCache, gcpHit(auth.NewCachedTokenProvider(gcpProvider(madeUp), nil))},
		{xOAuth2, oauth2Hit(oauth2.ReuseTokenSource(nil, oauth2Provider(madeUp)))},
	}
	for _, c := range all {
		if err := c.run(3); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return all, nil
}

// measureHit is a GetToken for a token that is held.
func measureHit(ctx context.Context, short bool, say func(string)) (section, error) {
	all, err := singleHits(ctx)
	if err != nil {
		return section{}, err
	}
	return compareHits(ctx, all, short, say)
}

func compareHits(
	ctx context.Context, all []contender, short bool, say func(string),
) (section, error) {
	var err error
	allocs := map[string]float64{}
	for _, c := range all {
		allocs[c.name] = testing.AllocsPerRun(100, func() { err = c.run(1) })
		if err != nil {
			return section{}, err
		}
	}
	say("one after the other")
	serial, err := takeTurns(ctx, roundsOf(short), all...)
	if err != nil {
		return section{}, err
	}
	say(fmt.Sprintf("on %d cores at once", runtime.GOMAXPROCS(0)))
	spread := make([]contender, len(all))
	for i, c := range all {
		spread[i] = contender{c.name, onAllCores(c.run)}
	}
	parallel, err := takeTurns(ctx, roundsOf(short), spread...)
	if err != nil {
		return section{}, err
	}
	say("what each nanosecond buys")
	parts, err := hitParts(ctx, all, short)
	if err != nil {
		return section{}, err
	}
	s := section{
		title: "A hit",
		text: []string{
			"GetToken for the one token that is held, fresh. The limit is " + limitOfHit +
				". AWS's, Google's and oauth2's caches hold a single credential and have nothing to look up.",
			"A hit takes no lock and writes nothing that is shared; it starts no goroutine, which would " +
				"allocate. No lock is held over a request either: see *Behaviour* for one resource while the " +
				"host is slow with another, and `TestStaleTokenAtOnceWhileTheHostIsSlow`.",
		},
		tables: []table{hitTable(serial, parallel, allocs), parts},
		verdicts: []verdict{
			{what: "hit beside the limit", got: serial.ratio(ours, theLimit), bound: hitBound,
				inShort: ratioInShort * hitBound, unit: "x",
				why: "the limit does nothing that could be left out"},
			{what: "hit beside the limit, on all cores", got: parallel.ratio(ours, theLimit),
				bound: hitBound, inShort: ratioInShort * hitBound, unit: "x",
				why: "no lock, no counter, nothing shared is written"},
			{what: "allocations of a hit", got: allocs[ours], bound: 0,
				why: "a copy of what is held needs none"},
			{what: "hit beside AWS's cache of a single credential",
				got: serial.ratio(ours, awsCache), bound: awsBound,
				inShort: ratioInShort * awsBound, unit: "x",
				why: "finding one of many is to cost no more than having one"},
		},
	}
	return s, nil
}

func hitTable(serial, parallel turns, allocs map[string]float64) table {
	t := table{head: []string{"what"},
		caption: "Nanoseconds per call; below, how many times ours that is."}
	rows := [][]string{{"one after the other"}, {"ratio to ours"},
		{"on all cores, per call of all together"}, {"ratio to ours"}, {"allocations"}}
	for _, name := range append([]string{theLimit}, peers...) {
		t.head = append(t.head, name)
		for i, cell := range []string{
			nanoseconds(serial.ns(name)), ratio(serial.ratio(name, ours)), nanoseconds(parallel.ns(name)),
			ratio(parallel.ratio(name, ours)), figure(allocs[name]),
		} {
			rows[i] = append(rows[i], cell)
		}
	}
	t.rows = rows
	return t
}
