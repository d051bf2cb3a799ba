package main

import "testing"

// TestParseStart: each package counts for its group, and only whole names do.
func TestParseStart(t *testing.T) {
	t.Parallel()
	const trace = "init internal/bytealg @0.003 ms, 0 ms clock, 0 bytes, 0 allocs\n" +
		"init encoding/gob @1.2 ms, 0.25 ms clock, 31608 bytes, 435 allocs\n" +
		"init encoding/gobber @1.2 ms, 0.5 ms clock, 8 bytes, 1 allocs\n" +
		"init github.com/keyless-go/identity @2 ms, 0.004 ms clock, 16 bytes, 2 allocs\n" +
		"init github.com/keyless-go/identity/internal/detect @2 ms, 0.006 ms clock, 16 bytes, 3 allocs\n" +
		"init github.com/Azure/azure-sdk-for-go/sdk/azidentity @2 ms, 0.1 ms clock, 1 bytes, 7 allocs\n" +
		"init github.com/AzureAD/microsoft-authentication-library-for-go/apps/x @2 ms, 0.2 ms clock, " +
		"1 bytes, 8 allocs\n" +
		"init github.com/Azure/azure-sdk-for-go/sdk/azcore @2 ms, 0.02 ms clock, 1 bytes, 9 allocs\n" +
		"2026-01-01 init nothing\n"
	got := parseStart(trace)
	for name, want := range map[string][2]float64{
		ours: {10, 5}, "encoding/gob": {250, 435}, "azidentity and MSAL": {300, 15},
		"azcore": {20, 9}, otherPackages: {500, 1},
	} {
		micros, allocs := of([]initialised{got, got, {}}, name)
		if int(micros+0.5) != int(want[0]) || allocs != want[1] {
			t.Errorf("%s: got %v µs and %v allocations, want %v", name, micros, allocs, want)
		}
	}
	if got := parseStart("no trace"); len(got) != 0 {
		t.Errorf("got %v of no trace", got)
	}
}
