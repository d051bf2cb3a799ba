package identitysarama

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/IBM/sarama"
)

// provider is a sarama.AccessTokenProvider. Sarama asks it while it makes a connection and when it
// authenticates again.
type provider struct {
	auth   *Auth
	config *sarama.Config
}

// errPlainText is what a configuration without TLS gets.
var errPlainText = errors.New(pkg + ": no token: Net.TLS.Enable is false, so that it would " +
	"travel in clear text")

// Token implements sarama.AccessTokenProvider.
func (p *provider) Token() (*sarama.AccessToken, error) {
	if !p.config.Net.TLS.Enable {
		return nil, errPlainText
	}
	a := p.auth
	ctx, cancel := context.WithTimeout(a.ctx, a.timeout)
	defer cancel()
	token, err := a.source.Token(ctx, "")
	if err != nil && ctx.Err() != nil && a.ctx.Err() == nil {
		return nil, fmt.Errorf("%w (Options.Timeout is %v)", err, a.timeout)
	}
	if err != nil {
		return nil, err
	}
	return &sarama.AccessToken{Token: token, Extensions: maps.Clone(a.extensions)}, nil
}
