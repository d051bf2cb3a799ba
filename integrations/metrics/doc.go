// Package identitymetrics reads what the credentials of package identity hold, and what became of
// their requests, for a monitoring system. Prometheus's collector is in its package prometheus,
// OpenTelemetry's instruments are in its package otel; a program links only the one it imports.
//
//	credentials := identitymetrics.NewSet(cred)
//	prometheus.MustRegister(identityprometheus.NewCollector(credentials))
//
// Nothing happens where tokens are handed out: a [Set] asks its credentials for their Statuses when
// it is scraped. That sends nothing. For 1,000 tokens it takes 3 ms. Prometheus's own code then
// takes 25 ms to write them as text.
//
// # Labels
//
// Each series has its own [Labels]: whose endpoint is asked, for which identity, tenant and
// resource. No two series of a Set have the same Labels, so that a scrape never fails for
// duplicates. Two credentials of one identity share their tokens, and so are one series. If they
// share nothing, because each has a Transport of its own, give them names in [Set.Add]. Without
// names they are one series, with the token that ends first and the larger of each count.
//
// Labels are identifiers and never secrets: a client ID, a tenant's ID, a resource's name. A
// user-assigned identity that was selected by its resource ID also shows its subscription and
// resource group. Labels have at most 200 characters, a text with a token in it is "REDACTED", and
// there are at most 1,000 sets of labels in the life of a Set. Resources beyond these are counted
// together in the resource "other", without an end.
//
// # Counters
//
// A credential forgets a resource an hour after its token's end, or minutes after a failure where
// no token was held, and counts from zero when it is asked for it again. The counters of a Set go
// on from where they were: they never go back, and grow with each failure that is read. When a
// resource is forgotten, its counters stay, and only the end of its token vanishes. All series of a
// credential vanish when it is removed from the Set.
//
// # Failures
//
// A credential that is nil, panics, or takes over 5 s to answer loses only its own series:
// [Reading.Unreadable] counts it. Nothing is logged.
//
// # Alerts
//
// alerts.yaml beside this file has two rules for Prometheus: a token ends while its renewal fails,
// and renewals have failed, or were throttled, for an hour.
package identitymetrics
