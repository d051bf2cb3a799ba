package tokencache

import "time"

// lane is what credentials with equal terms do about one key. It is guarded by Cache.mu, and
// dropped once there is nothing to say of it: a token in use has none.
type lane struct {
	terms    Terms
	flight   *flight // the request under way, nil if none
	coolDown         // after a flight that brought nothing

	challenged, refreshed forcing // the last flight that claims asked for, and that Refresh did
}

// forcing is a flight that was to go past the store.
type forcing struct {
	flight *flight
	at     time.Time // its start
	on     int       // entry.granted at its start
	before string    // the token that was held then
}

// recent reports whether the flight is so new that nobody may force another one.
func (f *forcing) recent(now time.Time) bool {
	return f.flight != nil && now.Sub(f.at) < claimsEvery
}

// forcing is the lane's record of challenges, or of Refresh.
func (l *lane) forcing(claims bool) *forcing {
	if claims {
		return &l.challenged
	}
	return &l.refreshed
}

// underWay is the flight that is worth waiting for, nil for none: one that has taken longer
// than its budget may be in a Transport that ignores its context.
func (l *lane) underWay(now time.Time) *flight {
	if l == nil || l.flight == nil || now.Sub(l.flight.started) > l.flight.budget+overtime {
		return nil
	}
	return l.flight
}

// flight is one request for one key, with all who wait for it. It belongs to none of them.
type flight struct {
	lane    *lane
	started time.Time
	budget  time.Duration // of the credential that started it
	forced  bool          // past the store
	once    bool          // a single try
	done    chan struct{} // closed when result and err are set
	result  Result
	err     error
	// closed when the Source has heard of err; nil without one. Not before done is closed
	told chan struct{}

	saidByHost bool // err is what the host said: see Failure.saidByHost
	progress   Progress
}
