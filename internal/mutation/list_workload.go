package main

var workloadMutations = []mutation{
	{
		name:  "the tenant that a resource asks for is not asked",
		harm:  "Key Vault refuses the token of the identity's own tenant",
		file:  "internal/exchange/exchange.go",
		old:   `cmp.Or(r.Tenant, x.Tenants.Own)`,
		new:   `cmp.Or(x.Tenants.Own, r.Tenant)`,
		tests: "TestWorkloadRequests|TestWorkloadOtherTenants",
	},
	{
		name:  "any tenant may be asked for",
		harm:  "a resource that lies about its tenant gets a token of a tenant that it chose",
		file:  "internal/check/tenants.go",
		old:   `slices.ContainsFunc(t.Allowed, func`,
		new:   `asked != "" || slices.ContainsFunc(t.Allowed, func`,
		tests: "TestWorkloadOtherTenants",
	},
	{
		name:  "the tokens of all tenants are kept as one's",
		harm:  "a resource gets a token of another tenant from the cache",
		file:  "internal/tokencache/view.go",
		old:   `return v.identity + v.variant.Tenant + "\n"`,
		new:   `return v.identity + "\n"`,
		tests: "TestViewKeys|TestWorkloadOtherTenants",
	},
	{
		name:  "tokens that can be challenged are kept with those that can't",
		harm:  "a client that knows nothing of challenges fails on one",
		file:  "internal/tokencache/view.go",
		old:   `strconv.FormatBool(v.variant.CAE)`,
		new:   `strconv.FormatBool(false)`,
		tests: "TestViewKeys|TestCAEIsAnotherToken|TestWorkloadKeepsCapabilitiesApart",
	},
	{
		name:  "a tenant may have slashes in it",
		harm:  "a resource's challenge chooses the path that the assertion is posted to",
		file:  "internal/check/check.go",
		old:   `return r != '.' && r != '-' &&`,
		new:   `return r != '.' && r != '-' && r != '/' &&`,
		tests: "TestWorkloadConstructorRefuses|TestAllowedTenantsAreChecked|TestWorkloadOtherTenants",
	},
	{
		name: "the service account's token is read once",
		harm: "an hour after the start no token can be had any more",
		file: "internal/smallfile/smallfile.go",
		old:  "\tcontent, err := io.ReadAll(io.LimitReader(f, limit+1))\n",
		new: `	if kept := os.Getenv("MUTANT KEPT " + path); kept != "" {
		return []byte(kept), nil
	}
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	_ = os.Setenv("MUTANT KEPT "+path, string(content))
`,
		tests: "TestWorkloadReadsItsFileAtEveryExchange",
	},
	{
		name:  "an assertion that Entra calls expired is not read again",
		harm:  "a request that meets the kubelet's replacement fails",
		file:  "internal/exchange/workload.go",
		old:   `.Entra == "AADSTS700024"`,
		new:   `.Entra == "AADSTS700025"`,
		tests: "TestWorkloadReadsAnExpiredAssertionAgain",
	},
	{
		name:  "claims don't reach Entra",
		harm:  "the token after a challenge is refused by the resource as the one before",
		file:  "internal/entra/entra.go",
		old:   `form.Set("claims", claims)`,
		new:   `form.Set("claims", "{}")`,
		tests: "TestWorkloadRequests",
	},
	{
		name:  "Entra may be asked over plain http",
		harm:  "the assertion can be read on its way",
		file:  "internal/check/url.go",
		old:   `case u.Scheme != "https":`,
		new:   `case u.Scheme != "https" && u.Scheme != "http":`,
		tests: "TestWorkloadAuthorityForms|TestWorkloadConstructorRefuses",
	},
	{
		name:  "the certificates of the cluster's proxy are read once",
		harm:  "when the cluster replaces them, running pods get no token any more",
		file:  "internal/binding/proxy.go",
		old:   `len(pem) == 0 || bytes.Equal(pem, b.caData)`,
		new:   `len(pem) == 0 || bytes.Equal(b.caData, b.caData)`,
		tests: "TestIdentityBindingReadsItsFileAgain",
	},
	{
		name:  "the token in the place of its file's path is quoted",
		harm:  "the service account's token stands in an error",
		file:  "internal/redact/line.go",
		old:   "\tvalue = Text(value)\n\tif len(value) > MaxLine {",
		new:   "\tif len(value) > MaxLine {",
		tests: "TestQuotedHidesTokens",
	},
	{
		name:  "Entra gets five requests at once",
		harm:  "the first requests of a service with many tenants queue behind each other",
		file:  "internal/exchange/exchange.go",
		old:   `AtOnce: 50,`,
		new:   `AtOnce: 5,`,
		tests: "TestWorkloadRequestsAtOnce",
	},
}
