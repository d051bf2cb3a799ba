package failure

import (
	"regexp"

	"github.com/keyless-go/identity/internal/lazy"
)

// varying finds what differs between failures of one cause, and has what takes its place.
var varying = lazy.Value[[]substitution]{Make: func() []substitution {
	const (
		labels   = `(?:trace|correlation|(?:client[ _-]?)?request|activity|operation|session|transaction|tracking|incident|span|ray)`
		duration = `\d+(?:\.\d+)?(?:ns|µs|μs|ms|h|m|s)`
		address  = `(?:\[[0-9a-fA-F:.]+(?:%[^\]\s]*)?\]|\d+\.\d+\.\d+\.\d+):\d+`
		month    = `(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*`
		day      = `(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*`
		clock    = `\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?(?: [AP]M)?`
		zone     = `(?: ?(?:Z|GMT|UTC|[+-]\d{2}:?\d{2}))?`
		guid     = `[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b`
	)
	var list []substitution
	for _, s := range []struct{ found, shown string }{
		// Times, as Go, Python, Java, .NET, servers' logs and HTTP write them, and as the seconds
		// since 1970 or parts of them, of the years up to 2036: what begins with 21 are Windows'
		// error numbers, such as -2147023584.
		{`\b\d{4}[-/]\d{2}[-/]\d{2}[T ]` + clock + zone, `…`},
		{`\b\d{8}T\d{6}(?:\.\d+)?Z?(?:-\w+)?\b`, `…`},
		{`\b\d{1,2}[/.]\d{1,2}[/.]\d{4},? ` + clock + zone, `…`},
		{`\b\d{1,2}/` + month + `/\d{4}:` + clock + zone, `…`},
		{`\b` + day + `,? (?:\d{1,2}[ -]` + month + `[ -]\d{2,4}|` + month + ` +\d{1,2}) ` + clock +
			zone + `(?: \d{4})?`, `…`},
		{`\b` + month + ` +\d{1,2}(?:, \d{4},?)? ` + clock + zone, `…`},
		{`\b[EFIW]\d{4} ` + clock + ` +\d+ `, `… `}, // klog, with the number of a thread
		{`\b(?:\d+\.)?` + clock + zone, `…`},
		{`(?i)\b(timestamp["']?\s*[:=]\s*["']?)\d[\w:.+-]*`, `${1}…`},
		{`\b(?:1[5-9]|20)\d{8}(?:(?:\d{3}){1,3})?(?:\.\d+)?\b`, `…`},
		// IDs of requests, by what stands before them: Trace ID: …, "request-id": "…", correlation
		// ID c0ffee1, Ref A: …, Reference #18.…
		{`(?i)\b(` + labels + `[ _-]?id["']?\s*[:=#]\s*["']?)[\w.-]+`, `${1}…`},
		{`(?i)\b(` + labels + `[ _-]?id\s+["'(]?)[a-z_.-]*\d[\w.-]*`, `${1}…`},
		{`(?i)\b(` + labels + `["']?\s*[:=#]\s*["']?)[a-z_.-]*\d[\w.-]{7,}`, `${1}…`},
		{`(?i)\b((?:` + labels + `|error|event|log)(?:[ _-]?id)?["']?\s*[:=#]?\s*["'(]?)` + guid,
			`${1}…`},
		{`(?i)\b(traceparent["']?\s*[:=]\s*["']?)\d[\w-]*`, `${1}…`},
		{`(?i)\b(ref [a-c]\s*[:=#]\s*)[\w.-]*`, `${1}…`},
		{`(?i)\b(ref(?:erence)?\s*(?:id)?\s*[:=#]\s*#?)[a-z_.-]*\d[\w.-]{7,}`, `${1}…`},
		{`(?i)\b((?:pid|process(?: id)?|thread(?: id)?|goroutine)["']?\s*[:=#]?\s*)\d+\b`, `${1}…`},
		{`(?i)\b((?:last)?stream ?id[ =:]+)\d+\b`, `${1}…`}, // of HTTP/2
		// How long, and how many.
		{`\b(?:` + duration + `)+\b`, `…`},
		{`\b\d+(?:\.\d+)? [nµμum]?s\b`, `…`},
		{`(?i)\b\d+(?:\.\d+)?( (?:(?:milli|micro|nano)?second|sec|minute|min|hour|day)s?)\b`,
			`…${1}`},
		{`(?i)\b\d+( (?:attempt|byte|request|other resource|call|time)s?)\b`, `…${1}`},
		{`(?i)\b\d+( (?:re)?)tr(?:y|ies)\b`, `…${1}tries`},
		{`(… (?:\w+ )?(?:second|sec|minute|min|hour|day|attempt|byte|request|resource|call|time))\b`,
			`${1}s`},
		{`(?i)\b((?:attempt|retry)(?:[ _-]?after)?(?:[ _-]?ms)?["']?\s*[:=#]?\s*["'#]?)\d+(?: ?(?:of|/) ?\d+)?\b`,
			`${1}…`},
		// Addresses of a connection: its own port is another each time, and a name may stand for
		// many. The endpoint is told anyway.
		{`\b((?:tcp|udp)[46]?) ` + address + `->` + address, `${1}`},
		{`\b((?:tcp|udp)[46]?) ` + address, `${1}`},
		{`\b(lookup \S+) on ` + address, `${1}`},
		{`\b0x[0-9a-fA-F]{6,}\b`, `…`},
	} {
		list = append(list, substitution{regexp.MustCompile(s.found), s.shown})
	}
	return list
}}

type substitution struct {
	found *regexp.Regexp
	shown string
}

// Unvarying is a text without what varies.
func Unvarying(text string) string {
	if text == "" {
		return ""
	}
	for _, s := range varying.Get() {
		text = s.found.ReplaceAllString(text, s.shown)
	}
	return text
}
