package chain

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/redact"
)

// Link is one source of a chain.
type Link struct {
	Name   string // in messages
	Source azcore.TokenCredential
	Bar    *Bar // what keeps it from being used; nil for nothing
	// Whole says that its absence is the host's or the tool's, and so the same for every scope.
	Whole bool
	// Held is a token that it can hand out at once, nil for none; a nil func for a source that has
	// to be asked.
	Held func(scope, tenant string, cae bool) *azcore.AccessToken
	// Refresh asks it past what it holds; nil where that can't be done.
	Refresh func(
		context.Context, policy.TokenRequestOptions,
	) (token azcore.AccessToken, changed bool, err error)
	// Failed is its last failed request for what options ask for, also one that nobody waited for,
	// and when that was; nil where that isn't known. A nil error is none.
	Failed func(options policy.TokenRequestOptions) (time.Time, error)
	// Advice is what the first line of an error says of a failure that ends a walk; nil for nothing.
	Advice func(error) string
}

// Bar keeps sources from being used from some time on.
type Bar struct {
	// Why says why they must not be used, "" while they may. It is called for each token that is
	// asked for, by many goroutines at once, and so has to be quick.
	Why  func() string
	Line func(why string) string // what an error says of such a source
	News string                  // what the log says, once
}

// Reading is what an error of a source means.
type Reading struct {
	Unavailable bool // the source can't be used here: the next one is to be tried
	Passes      bool // worth asking again
	Answered    bool // it says what the host answered before its caller left
	// Own is the error, or one in it, whose text and Summary are this library's own: a line without
	// secrets. nil for none.
	Own error
}

// Foreign is the link of a credential of another package. It is asked in the caller's goroutine and
// with the caller's ctx: what it makes of the ctx's values is the caller's alone. A panic is its
// failure.
func Foreign(source azcore.TokenCredential) Link {
	return Link{Name: strings.TrimPrefix(fmt.Sprintf("%T", source), "*"), Source: foreign{&source}}
}

// foreign holds it by a pointer, so that printing a chain doesn't print what is in it.
type foreign struct{ source *azcore.TokenCredential }

func (f foreign) GetToken(
	ctx context.Context, options policy.TokenRequestOptions,
) (token azcore.AccessToken, err error) {
	defer func() {
		if p := recover(); p != nil {
			token, err = azcore.AccessToken{}, panicked(p)
		}
	}()
	return (*f.source).GetToken(ctx, options)
}

func panicked(p any) error {
	return fmt.Errorf("it panicked: %s", redact.Line(redact.Text(fmt.Sprint(p))))
}

// held is a token that the source can hand out at once, nil for none.
func (l *Link) held(options *policy.TokenRequestOptions) *azcore.AccessToken {
	if l.Held == nil || len(options.Scopes) != 1 || options.Claims != "" {
		return nil
	}
	return l.Held(options.Scopes[0], options.TenantID, options.EnableCAE)
}
