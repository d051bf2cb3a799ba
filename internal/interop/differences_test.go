package interop

// userAgent differs in every request.
var userAgent = difference{"header User-Agent", `azsdk-go-azidentity/v1\.15\.0 \(.+\)`,
	`azsdk-go-identity/v\d+\.\d+\.\d+ \(.+\)`,
	"each names itself, as azcore does it"}

// ownTransport is what differs where neither is given a transport.
var ownTransport = []difference{
	{"header Connection", none, "close",
		"there is one request in half a day, and a connection kept to an endpoint that has restarted " +
			"meanwhile would fail it"},
	{"header Accept-Encoding", "gzip", none,
		"3 KB from the same machine aren't worth it, and what isn't unpacked can't unpack to more than " +
			"was sent"},
}

// What differs at one host or another.
var (
	msalStatistics = []difference{
		{"header X-Client-Sku", `MSAL\.Go`, none,
			"tells Microsoft who asks, as User-Agent does; not documented"},
		{"header X-Client-Ver", `\d+\.\d+\.\d+`, none, "as above"},
		{"header X-Ms-Client-Request-Id", guid, none,
			"not documented, and azidentity tells nobody the ID that it has sent"},
	}
	metadataToo = difference{"header Metadata", none, "true",
		"Automation, which sets the same variables, wants it, and the other hosts don't mind"}
	noAccept = difference{"header Accept", "application/json", none,
		"not documented; the service has nothing but JSON"}
	principalID = []difference{
		{"query object_id", guid, none, "an alias"},
		{"query principal_id", none, guid, "the documented name of what object_id is an alias of"},
	}
	noEmptyClientID = difference{"query clientid", "", none,
		"the legacy App Service sets no DEFAULT_IDENTITY_CLIENT_ID, and none of its identities has an " +
			"empty client ID"}
	capability = difference{"query xms_cc", none, "cp1",
		"Azure SDK clients can answer a claims challenge, which the service has a parameter for; MSAL " +
			"for .NET sends it, too"}
)

const guid = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`
