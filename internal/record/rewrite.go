package record

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
)

// Rewrite is a JSON text with other names and values, and false for what is no JSON. It keeps the
// order of an object's fields, and fields that it has twice, which decoders read in different ways.
// Name gets each field's name. Change gets each string, json.Number, boolean and null, with the
// name of the field that it is in, as it was.
func Rewrite(
	text string, name func(field string) string, change func(field string, value any) any,
) (string, bool) {
	w := &rewriter{decoder: json.NewDecoder(strings.NewReader(text)), name: name, change: change}
	w.decoder.UseNumber()
	if err := w.value(""); err != nil {
		return "", false
	}
	if _, err := w.decoder.Token(); err != io.EOF {
		return "", false
	}
	return w.out.String(), true
}

type rewriter struct {
	decoder *json.Decoder
	out     bytes.Buffer
	name    func(field string) string
	change  func(field string, value any) any
}

// value copies the next one, which is in the field.
func (w *rewriter) value(field string) error {
	t, err := w.decoder.Token()
	if err != nil {
		return err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return w.encode(w.change(field, t))
	}
	w.out.WriteRune(rune(open))
	for first := true; w.decoder.More(); first = false {
		if !first {
			w.out.WriteByte(',')
		}
		if open == '{' {
			name, err := w.decoder.Token()
			if err != nil {
				return err
			}
			field = name.(string)
			if err := w.encode(w.name(field)); err != nil {
				return err
			}
			w.out.WriteByte(':')
		}
		if err := w.value(field); err != nil {
			return err
		}
	}
	end, err := w.decoder.Token()
	if err != nil {
		return err
	}
	w.out.WriteRune(rune(end.(json.Delim)))
	return nil
}

func (w *rewriter) encode(value any) error {
	encoder := json.NewEncoder(&w.out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	w.out.Truncate(w.out.Len() - 1) // the line break
	return nil
}
