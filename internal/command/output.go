package command

import "strings"

const (
	// MaxStdout is how much of a program's standard output is kept. A token with all its claims
	// stays below 10 KiB. The rest is read and thrown away.
	MaxStdout = 1 << 20
	// MaxStderr is the same for its standard error. The traceback of a large Python program has
	// some KiB.
	MaxStderr = 64 << 10
)

// capped is a buffer that keeps the first bytes and takes all. It embeds none: io.Copy would go
// past Write by the ReadFrom of a bytes.Buffer, and keep all.
type capped struct {
	kept  []byte
	limit int
}

func (b *capped) Write(p []byte) (int, error) {
	b.kept = append(b.kept, p[:min(len(p), b.limit-len(b.kept))]...)
	return len(p), nil
}

// bothCapped is a buffer that keeps the first bytes and the last, and takes all: a traceback has
// its reason at the end.
type bothCapped struct {
	first, last []byte
	limit       int // of each
	cut         bool
}

func (b *bothCapped) Write(p []byte) (int, error) {
	n := len(p)
	fits := min(n, b.limit-len(b.first))
	b.first, p = append(b.first, p[:fits]...), p[fits:]
	b.last = append(b.last, p[max(len(p)-2*b.limit, 0):]...)
	b.cut = b.cut || len(p) > 2*b.limit
	// Seldom, so that many short writes take no more time than a long one.
	if len(b.last) > 2*b.limit {
		b.last, b.cut = append(b.last[:0], b.last[len(b.last)-b.limit:]...), true
	}
	return n, nil
}

// gapLine stands for what was thrown away.
const gapLine = "\n…\n"

// String is what was kept. Behind a gap it goes on with a whole line: half a line may be half a
// secret, without the words by which it would be known as one.
func (b *bothCapped) String() string {
	last := b.last[max(len(b.last)-b.limit, 0):]
	if !b.cut && len(last) == len(b.last) {
		return string(b.first) + string(last)
	}
	_, lines, _ := strings.Cut(string(last), "\n")
	return string(b.first) + gapLine + lines
}
