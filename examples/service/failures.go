package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/keyless-go/identity"
)

// handle makes a handler of h, whose request may take as long as requestTimeout. A failure is in
// the log; users get its status alone, because an error may say what is none of their business.
func (s *service) handle(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		err := h(w, r.WithContext(ctx))
		if err == nil || r.Context().Err() != nil { // or the user has gone
			return
		}
		status := statusOf(err)
		if status >= 500 {
			s.log.Error("request failed", "path", r.URL.Path, "status", status, "error", err)
		}
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "10")
		}
		http.Error(w, http.StatusText(status), status)
	})
}

// statusOf tells what passes by itself, for which users may try again, from what somebody has to
// mend: 500 is an identity that isn't assigned, say, and worth an alert.
func statusOf(err error) int {
	_, noConnection := errors.AsType[*pgconn.ConnectError](err)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return http.StatusNotFound
	case identity.Passing(err), noConnection, errors.Is(err, errNoKey),
		errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
