package chain

import "errors"

// attempt is what became of asking one source.
type attempt struct {
	index    int
	err      error  // nil for a token, and for a source that was not asked because it is barred
	why      string // the source brought no token, in one line
	goesOn   bool   // the next source is to be tried
	away     bool   // it is unavailable, whatever the scope
	passes   bool   // worth asking again
	answered bool   // as Reading.Answered
	own      error  // as Reading.Own
}

// unasked stands for no attempt.
var unasked = attempt{index: -1}

var errCrowd = errors.New(
	"too many calls wait for its sources already: does one of them ask the chain itself?")
