package identitytest

import (
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Do answers req in memory: no connection, no goroutine, no clock but time.Now. It makes an
// Endpoint usable as the Transport of azcore.ClientOptions, also in parallel tests and inside a
// testing/synctest bubble. The host name in the URL is ignored, the path is not.
//
// Do blocks for the Delay of a scripted [Response], or until the context of req ends. Its error is
// that of the context, of reading the body of req, or the scripted one. A request that the host
// would refuse gets the host's refusal, not an error.
func (e *Endpoint) Do(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err // nothing was sent, so nothing is recorded
	}
	a, err := e.handle(req)
	if err != nil {
		return nil, err
	}
	if a.status == 0 {
		return nil, a.err
	}
	return a.response(req), nil
}

func (a answer) response(req *http.Request) *http.Response {
	response := &http.Response{
		Status:        strings.TrimSpace(strconv.Itoa(a.status) + " " + http.StatusText(a.status)),
		StatusCode:    a.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        a.header,
		Body:          io.NopCloser(strings.NewReader(a.body)),
		ContentLength: int64(len(a.body)),
		Request:       req,
	}
	if a.err != nil {
		response.Body = io.NopCloser(io.MultiReader(strings.NewReader(a.body), failingReader{a.err}))
		response.ContentLength = declaredLength(a)
	}
	return response
}

// declaredLength is the length that an answer which is cut short promises: more than there is.
func declaredLength(a answer) int64 { return 2*int64(len(a.body)) + 1 }

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
