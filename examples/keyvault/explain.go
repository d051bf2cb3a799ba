package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/keyless-go/identity"
	"github.com/keyless-go/identity/examples/internal/commandline"
)

// explain tells in one line what went wrong. The SDK's errors have a dozen.
func (c config) explain(err error) string {
	// No token: the library says it in one line already.
	if e, ok := errors.AsType[*identity.AuthenticationError](err); ok {
		if c.vault == "" && errors.Is(err, identity.ErrIdentityNotFound) {
			return e.Error() + " (-h lists the identities of the stand-ins)"
		}
		return e.Error()
	}
	// The vault refused.
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok && e.RawResponse != nil {
		return refusal(e)
	}
	// There was no answer in time, or none at all.
	if _, ok := errors.AsType[*commandline.TimeoutError](err); ok && c.vault != "" {
		return fmt.Sprintf("%s doesn't answer: gave up after %v (-timeout)", c.vault, c.Timeout)
	}
	if e, ok := errors.AsType[*url.Error](err); ok && c.vault != "" {
		return commandline.OneLine(c.vault + " can't be reached: " + e.Err.Error())
	}
	return commandline.OneLine(err.Error())
}

// refusal is the vault's error body, {"error":{"code":"…","message":"…"}}, in one line.
func refusal(e *azcore.ResponseError) string {
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if raw, err := runtime.Payload(e.RawResponse); err == nil {
		_ = json.Unmarshal(raw, &body) // whatever isn't the vault's own has no message
	}
	line := fmt.Sprint(e.StatusCode, " ", http.StatusText(e.StatusCode))
	if code := body.Error.Code; code != "" && code != http.StatusText(e.StatusCode) {
		line += " " + code
	}
	if body.Error.Message != "" {
		line += ": " + body.Error.Message
	}
	if r := e.RawResponse.Request; r != nil {
		line = r.URL.Scheme + "://" + r.URL.Host + strings.TrimRight(r.URL.Path, "/") + " answers " + line
	}
	return commandline.OneLine(line)
}
