package identitytest

import "testing"

// bypass_cache is the one way past the host's cache.
func TestBypassCache(t *testing.T) {
	t.Parallel()
	e := NewIMDS(&Options{HostCache: true})
	first, repeated := accessToken(t, do(t, e, imdsRequest(t, ""))), accessToken(t,
		do(t, e, imdsRequest(t, "")))
	past := accessToken(t, do(t, e, imdsRequest(t, "&bypass_cache=true")))
	after := accessToken(t, do(t, e, imdsRequest(t, "")))
	if first != repeated || past == first || after != past {
		t.Error("want a token, the same, another, and that again")
	}
}
