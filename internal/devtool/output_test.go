package devtool

import (
	"strings"
	"testing"

	"github.com/keyless-go/identity/internal/command"
)

// BenchmarkObjectWith: what a tool prints takes time in proportion to its length.
func BenchmarkObjectWith(b *testing.B) {
	for _, bench := range []struct{ name, text string }{
		{"1 MiB of braces", strings.Repeat("{", command.MaxStdout)},
		{"1 MiB of objects", strings.Repeat(`{"a":1}`, command.MaxStdout/7)},
		{"1 MiB of an object in an object", strings.Repeat(`{"a":`, command.MaxStdout/5)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.text)))
			for b.Loop() {
				if objectWith([]byte(bench.text), "accessToken") != nil {
					b.Fatal("it has found a token")
				}
			}
		})
	}
}
