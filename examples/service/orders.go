package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// order is a row, and what users get of it.
type order struct {
	ID       int64  `json:"id"`
	Item     string `json:"item"`
	Quantity int64  `json:"quantity"`
}

// getOrder answers with one order, signed, so that a partner who has the key can check it.
func (s *service) getOrder(w http.ResponseWriter, r *http.Request) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return pgx.ErrNoRows // no order has such an ID
	}
	key, err := s.key.value()
	if err != nil {
		return err
	}
	rows, err := s.db.Query(r.Context(), "SELECT id, item, quantity FROM orders WHERE id = $1", id)
	if err != nil {
		return err
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[order])
	if err != nil {
		return err
	}
	body, err := json.Marshal(found)
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	_, _ = w.Write(body) // fails if the user has gone
	return nil
}
