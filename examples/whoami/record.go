package main

import (
	"context"
	"fmt"
	"os"

	"github.com/keyless-go/identity/examples/whoami/recorder"
	"github.com/keyless-go/identity/internal/record"
)

// askAndRecord asks, and with -record writes what was asked and answered, also if it was
// interrupted. The file must not be there yet: it may be somebody else's.
func (c config) askAndRecord(ctx context.Context, r *report) (err error) {
	if c.record == "" {
		_, _ = c.ask(ctx, r) // the report has what became of it
		return nil
	}
	file, err := os.OpenFile(c.record, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("-record: %w", err)
	}
	defer func() {
		if closed := file.Close(); err == nil {
			err = closed
		}
		if err != nil {
			_ = os.Remove(c.record)
			err = fmt.Errorf("-record: %w", err)
		}
	}()
	kept := &recorder.Recorder{}
	token, failed := c.ask(ctx, r, kept)
	var written *record.Record
	if written, err = kept.Record(c.whatWasAsked(r), token, failed); err != nil {
		return err
	}
	return written.Write(file)
}

// whatWasAsked is for a record.
func (c config) whatWasAsked(r *report) recorder.Asked {
	asked := recorder.Asked{Constructor: r.Asked.Credential, Scope: c.scope, Tenant: c.tenant,
		Application: c.federation.Application.String()}
	if c.ID != nil {
		asked.Selector, asked.ID = c.Kind, c.ID.String()
	}
	for _, e := range r.Evidence {
		if !e.File {
			asked.Variables = append(asked.Variables, e.Name)
		}
	}
	return asked
}
