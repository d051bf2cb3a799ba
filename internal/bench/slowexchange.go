package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// slowExchanges are what a federated credential is put through while Entra takes its time.
func slowExchanges() []situation {
	return []situation{
		{
			what: fmt.Sprintf("a token is held, and an exchange for another resource takes %s s",
				figure(scale.exchange.Seconds())),
			bound: 50, inShort: millisInShort, unit: "ms", why: "no lock is held over an exchange",
			host: func() *fake { return &fake{delay: scale.exchange} },
			try:  besideSlow,
		},
		{
			what:  "200 goroutines ask for 20 new resources, an exchange takes 100 ms",
			bound: 20, unit: "requests",
			why:  "one exchange for each resource, all at the same time",
			host: func() *fake { return &fake{delay: 100 * time.Millisecond} },
			try: func(ctx context.Context, ask asker, f *fake, scope string) (float64, string, error) {
				f.slow.Store(true)
				const callers, resources = 200, 20
				errs := make([]error, callers)
				began := time.Now()
				var wg sync.WaitGroup
				for i := range errs {
					wg.Go(func() { _, errs[i] = ask(ctx, fmt.Sprintf("https://%d-%s", i%resources, scope[8:])) })
				}
				wg.Wait()
				words := fmt.Sprintf("%s in %s", requests(f),
					duration(time.Since(began).Round(time.Millisecond)))
				return float64(f.requests.Load()), words, errors.Join(errs...)
			},
		},
	}
}

// measureSlowExchanges puts applications without a secret through it.
func measureSlowExchanges(ctx context.Context, _ bool, say func(string)) (section, error) {
	setHost()
	names := applicationPeers[:min(len(applicationPeers), scale.peers)]
	t := table{head: append([]string{"what"}, names...)}
	s := section{
		title: "Federated credentials while Entra is slow",
		text: []string{"The credentials of *Federated credentials*. azidentity's has one lock, which it " +
			"holds over the exchange and over the function of the assertion: whoever asks meanwhile " +
			"waits, for a token that is held, too. Workload identity's and Azure Pipelines' " +
			"credentials of azidentity are built on the same."},
	}
	for _, sit := range slowExchanges() {
		say(sit.what)
		row := []string{sit.what}
		for _, name := range names {
			e := newEntra(sit.host())
			cred, err := newApplication(name, e, e.base)
			if err != nil {
				return s, err
			}
			cost, words, err := sit.try(ctx, azcoreAsker(cred), e.fake, "https://vault.example/.default")
			if err != nil {
				return s, fmt.Errorf("%s: %s: %w", sit.what, name, err)
			}
			row = append(row, words)
			if name == ours {
				s.verdicts = append(s.verdicts, verdict{what: sit.what, got: cost, bound: sit.bound,
					inShort: sit.inShort, unit: sit.unit, why: sit.why})
			}
		}
		t.rows = append(t.rows, row)
	}
	s.tables = []table{t}
	return s, nil
}
