package identity_test

// documentedCommands are the command lines of all documents, and what runs each. CI runs the text
// in ci, which stands in .ci/run or .ci/commands and is the line itself or does what it does; test
// is a file and the test in it that runs the line; why is the reason why nothing does.
//
// line is a regular expression that a whole line has to match.
var documentedCommands = []struct{ line, ci, test, why string }{
	// everything
	{line: `go test \./\.\.\.`, ci: `go test -count=1 -timeout "$timeout" ./...`},
	{line: `bash \.ci/run|FUZZTIME=1m bash \.ci/run`, why: "it is CI"},
	{line: `go -C (examples|examples/\w+|integrations/\w+) test \./\.\.\.|` +
		`go -C examples test -v \./chain|go -C internal/interop test -v \.`,
		ci: `go test -race "${options[@]}" ./...`},
	{line: `make.*`, test: "docscommands_test.go TestDocsCommandsMake"},
	{line: `make release-(require|check) .*`, test: "release_test.go TestRelease"},
	{line: `bash \.ci/servers start /tmp/servers && \. /tmp/servers/env`,
		ci: `bash .ci/servers start "$servers"`},
	{line: `bash \.ci/servers stop /tmp/servers`, ci: `bash "$root/.ci/servers" stop "$servers"`},

	// one test, one benchmark, one fuzz target: the reader puts a name in
	{line: `go test -run '\^(TestName\$/\^case)?\$' -.*`, why: "has the reader's name in it"},
	{line: `go test -run 'TestDependencies\|TestImports' \.`,
		ci: `'^(TestAPI|TestDependencies|TestImports|TestWalls)$' .`},
	{line: `go test -run Campaign.*|IDENTITY_TEST_RUNS=100 go test .*`,
		why: "go test ./... runs it shorter; TestDocsCommandsNames sees that it is there"},

	// the modules and what they contain
	{line: `go mod verify`, ci: "go mod verify"},
	{line: `go mod tidy`, ci: "go mod tidy -diff"},
	{line: `go list -deps \.`, ci: "go list -deps ."},
	{line: `go list -m all`, ci: "go list -m all"},
	{line: `go mod edit -require github\.com/keyless-go/identity@v0\.0\.0`,
		ci: "go mod edit -require github.com/keyless-go/identity@v0.0.0"},
	{line: `go mod edit -replace github\.com/keyless-go/identity=\.\./identity && go mod tidy`,
		ci: "go mod edit -replace github.com/keyless-go/identity=../identity && go mod tidy"},
	{line: `go run golang\.org/x/vuln/cmd/govulncheck@latest \./\.\.\.`, ci: `/bin/govulncheck" ./...`},
	{line: `db=.* golang\.org/x/vulndb@latest .*`, ci: "go mod download -json golang.org/x/vulndb@latest"},
	{line: `go run golang\.org/x/vuln/cmd/govulncheck@latest -db .*`,
		ci: `/bin/govulncheck" -db "file://$db/data/osv" ./...`},

	// measurements
	{line: `go -C internal/bench run \. -short`, ci: "go -C internal/bench run . -short"},
	{line: `go -C internal/bench run \.`, why: "takes ten minutes on idle cores"},
	{line: `go -C internal/bench run \. -only outage`, test: "internal/bench/bench_test.go TestMeasurements"},
	{line: `go -C internal/mutation run \. -list`, ci: "go -C internal/mutation run . -list"},
	{line: `go -C internal/mutation run \.( -write| -only 'cool')?`,
		why: "takes ten minutes on idle cores; TestList sees that each mutation is up to date"},
	{line: `go build -trimpath -ldflags=-s`, why: "internal/bench builds with it"},

	// examples
	{line: `go -C examples run \./keyvault( [^A-Z]*)?`, test: "examples/keyvault/documented_test.go TestDocumented"},
	{line: `go -C examples run \./federated( [^A-Z]*)?`, test: "examples/federated/documented_test.go TestDocumented"},
	{line: `go -C examples run \./whoami (-fake .*|-h)`, test: "examples/whoami/documented_test.go TestDocumented"},
	{line: `CGO_ENABLED=0 go -C examples build -o /tmp/whoami \./whoami`,
		ci: "CGO_ENABLED=0 go -C examples build -o /tmp/whoami ./whoami"},
	{line: `go -C examples run \./whoami( -[^f].*)?`,
		why: "asks the machine's own host; whoami's tests run it with stand-ins"},
	{line: `go -C examples run \./\w+ .*-(vault|application) .*`,
		why: "needs Azure; examples/keyvault/real_test.go runs it where there is some"},
	{line: `go -C examples/service run \. -standins|curl -i http://127\.0\.0\.1:808[01]/\w+(/1)?`,
		test: "examples/service/main_test.go TestStandIns"},
	{line: `go -C examples/service run \. -h`, test: "examples/service/main_test.go TestHelp"},
	{line: `go -C examples run \./migrating`, test: "examples/migrating/migrating_test.go TestRun"},
	{line: `go -C examples run \./devserver`, test: "examples/devserver/main_test.go TestRun"},
	{line: `go -C examples run \./devserver -host-name 127\.0\.0\.1`, test: "examples/devserver/main_test.go TestRun"},
	{line: `go -C examples run \./devserver -env .*`, test: "examples/devserver/main_test.go TestEnvFile"},
	{line: `go -C examples run \./devserver -listen 172\.17\.0\.1:16925 -allow-remote`,
		test: "examples/devserver/flags_test.go TestRemoteStartUp"},
	{line: `go -C examples run \./devserver -h`, test: "examples/devserver/flags_test.go TestHelp"},

	// a release
	{line: `git (tag|push) .*`, why: "publishes"},
	{line: `go (list -m|get) github\.com/keyless-go/identity\S*@v0\.2\.0`,
		why: "works once that version is published"},
	{line: `go mod init example\.com/try`, ci: "go mod init example.com/yours"},
	{line: `go install …@v0\.2\.0`, why: "is what can't be done"},

	// what others have made
	{line: `go (build|install|run)`, why: "names the command only"},
	{line: `npm ci`, test: "internal/interop/node_test.go TestJavaScript"},
	{line: `(az|azd) (printed|doesn't) .*`, why: "is a message of this library's"},
	{line: `(az|azd|azcmagent|kubectl|docker|which|helm) .*`,
		why: "needs Azure, a login, a cluster or an agent"},
	{line: `(curl|tcpdump|ss|systemctl|sudo) .*`,
		why: "asks the real host, or looks at the machine on which something is wrong"},
}
