package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/keyless-go/identity/internal/redact"
)

// link is one source of a chain.
type link struct {
	name   string // in messages
	source azcore.TokenCredential
	barred func() string // why it must not be used, "" while it may; nil for always
	// Its ErrUnavailable is about the host or the tool, and so the same for every scope.
	whole bool
	// advice is what the first line of an error says of a failure that ends a walk; nil for nothing.
	advice func(error) string
}

// ownSource is a credential of this package. It shares requests among its callers by itself, and
// they leave it with their contexts.
type ownSource interface {
	azcore.TokenCredential
	chainLink() link
}

// linkOf makes a source of a user's choice a link, unless it is nil.
//
// A user's type that embeds a credential of ours has its methods, and is the user's all the same:
// its GetToken is another one.
func linkOf(source azcore.TokenCredential) (l link, ok bool) {
	v := reflect.ValueOf(source)
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return link{}, false
	}
	if own, ok := source.(ownSource); ok && v.Kind() == reflect.Pointer &&
		v.Type().Elem().PkgPath() == reflect.TypeFor[link]().PkgPath() {
		return own.chainLink(), true
	}
	name := strings.TrimPrefix(fmt.Sprintf("%T", source), "*")
	return link{name: name, source: foreignSource{&source}}, true
}

// foreignSource is a credential of another package. It is held by a pointer, so that printing a
// Chain doesn't print what is in it.
type foreignSource struct{ source *azcore.TokenCredential }

// GetToken asks it in the caller's goroutine and with the caller's ctx: what it makes of the ctx's
// values is the caller's alone. A panic is its failure.
func (f foreignSource) GetToken(
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

// attempt is what became of asking one source.
type attempt struct {
	index  int
	err    error  // nil for a token, and for a source that was not asked because it is barred
	why    string // the source brought no token, in one line
	goesOn bool   // the next source is to be tried
	away   bool   // it is unavailable, whatever the scope
	passes bool   // worth asking again: Ready waits
}

// unasked stands for no attempt.
var unasked = attempt{index: -1}

// barredAttempt is that of a source that must not be used.
func barredAttempt(i int, why string) attempt {
	return attempt{index: i, goesOn: true, why: "not asked: this is Azure, because " + why +
		"; AZURE_TOKEN_CREDENTIALS=dev selects the developer's credentials all the same"}
}

var errCrowd = errors.New(
	"too many calls wait for its sources already: does one of them ask the chain itself?")

// judge says once and for all what a failure of the i-th source means. It is the only place where
// methods of an error that isn't ours are called, and ContinueOn: under no lock, and recovered,
// because a look is in a goroutine in which no caller recovers.
func (l *link) judge(
	ctx context.Context, i int, err error, continueOn func(error) bool,
) (a attempt) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its error can't be judged: %w", panicked(p))
			a = attempt{index: i, err: err, why: err.Error()}
		}
	}()
	a = attempt{index: i, err: err, why: l.reason(err)}
	unavailable := errors.Is(err, ErrUnavailable)
	a.away = unavailable && l.whole
	// One that has no time left says nothing.
	a.goesOn = unavailable || ctx.Err() == nil && continueOn != nil && continueOn(err)
	if p, ok := errors.AsType[passingError](err); ok {
		a.passes = p.passes()
	}
	if _, ok := errors.AsType[*azcore.ResponseError](err); ok {
		a.err = concealed{err}
	}
	if errors.Is(err, errCrowd) { // as deep as there are walks
		a.err, a.why = errCrowd, errCrowd.Error()
	}
	return a
}

// maxForeign bounds a line about a credential of another package.
const maxForeign = 1000

// reason is why a source brought no token, in one line.
func (l *link) reason(err error) string {
	text := err.Error()
	if _, ours := err.(*AuthenticationError); !ours {
		if text = redact.Printable(redact.Text(text)); len(text) > maxForeign {
			text = strings.ToValidUTF8(text[:maxForeign], "") + "…"
		}
	}
	text = strings.TrimPrefix(strings.TrimPrefix(text, "identity: "), l.name+": ")
	return cmp.Or(text, "an error without a word")
}

// concealed is an error that errors.As finds no *azcore.ResponseError in: the caller of an Azure
// SDK client would take it for the answer to the call that needed the token.
type concealed struct{ error }

func (e concealed) Is(target error) bool { return errors.Is(e.error, target) }

func (e concealed) As(target any) bool {
	if _, ok := target.(**azcore.ResponseError); ok {
		return false
	}
	return errors.As(e.error, target)
}
