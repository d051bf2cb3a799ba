package devtool

import (
	"cmp"
	"time"

	"github.com/keyless-go/identity/internal/command"
)

const (
	// usualBudget is for one run and for waiting until others have ended, where the caller sets no
	// other time: one at a time, because each has the one token cache of the developer's in its
	// hands. az takes half a second to two when it needn't ask Entra, and has been seen to take 20
	// s to start on a busy machine (Azure/azure-cli#20404).
	usualBudget = time.Minute
	// longestBudget: a context may last as long as its program, and a tool that hangs must not keep
	// all others waiting until then.
	longestBudget = 10 * time.Minute
	// leastRun is what a run has left when it begins: one that is ended at once helps nobody. azd
	// has been seen to take 12 s.
	leastRun = 15 * time.Second
)

// Patience is how long a single run may take.
func (c *Client) Patience() time.Duration { return cmp.Or(c.timeout, usualBudget) }

// Budget is how long an acquisition takes at the longest: the waiting for others, the run, and its
// end. deadline is that of the caller for whom it starts, zero for none.
func (c *Client) Budget(deadline time.Time) time.Duration {
	if c.timeout > 0 {
		return c.timeout + max(c.timeout, usualBudget-leastRun) + command.LongestEnd
	}
	budget := usualBudget
	if !deadline.IsZero() {
		budget = min(max(budget, time.Until(deadline)), longestBudget)
	}
	return budget + command.LongestEnd
}
