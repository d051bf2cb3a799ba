package devtool

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// objectWith returns the first JSON object of a tool's output that has a text in a field, and nil
// if there is none. What is around it doesn't matter: warnings, a byte order mark, escapes of a
// terminal (Azure/azure-sdk-for-python#37841). No byte is read more than a few times, and after
// maxObjects that are none, or not this one, there is none.
func objectWith(out []byte, field string) []byte {
	for range maxObjects {
		for { // to where an object may begin
			begin := bytes.IndexByte(out, '{')
			if begin < 0 {
				return nil
			}
			out = out[begin:]
			if inside := bytes.TrimLeft(out[1:], " \t\r\n"); len(inside) > 0 && inside[0] == '"' {
				break
			}
			out = out[1:]
		}
		end := len(out)
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(out, &fields); err != nil {
			end = 1
			// One byte before is where an object may have ended.
			if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
				end = max(int(syntax.Offset)-1, 1)
			}
			fields = nil
			_ = json.Unmarshal(out[:end], &fields)
		}
		for name, value := range fields {
			if strings.EqualFold(name, field) && value[0] == '"' { // as json.Unmarshal takes them
				return out[:end]
			}
		}
		out = out[end:]
	}
	return nil
}

// maxObjects is far above what a tool has to tell beside a token, a line each. Ten thousand pieces
// of JSON are judged in a tenth of a second.
const maxObjects = 10_000
