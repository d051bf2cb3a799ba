package main

var callerMutations = []mutation{
	{
		name:  "passwords are asked for without EnableCAE",
		harm:  "a pod that is ready can't connect in an outage: the token that it holds is another one",
		file:  "tokenfunc.go",
		old:   `EnableCAE: true, Claims: claims`,
		new:   `Claims: claims`,
		tests: "TestTokenFuncSharesReadysToken",
	},
	{
		name:  "an empty token is a password",
		harm:  "a server that allows empty passwords lets anybody in, or refuses without a reason",
		file:  "tokenfunc.go",
		old:   `err == nil && token.Token == ""`,
		new:   `err == nil && token.Token == " "`,
		tests: "TestTokenFuncFails",
	},
	{
		name:  "an error that is wrapped passes never",
		harm:  "a service that starts in an outage gives up instead of waiting",
		file:  "ready.go",
		old:   `return ok && e.transient`,
		new:   `return ok && e.transient && err == error(e)`,
		tests: "TestPassing",
	},
	{
		name:  "the VM's name is taken for its identity's",
		harm:  "a service connects to the database as a role that isn't its own",
		file:  "internal/principal/named.go",
		old:   `"/microsoft.managedidentity/userassignedidentities/"`,
		new:   `"/"`,
		tests: "TestNamed",
	},
	{
		name:  "a person's names are read in the other order",
		harm:  "a developer connects as a role that doesn't exist",
		file:  "internal/principal/named.go",
		old:   `cmp.Or(c.UPN, c.Preferred, c.Unique)`,
		new:   `cmp.Or(c.Unique, c.Preferred, c.UPN)`,
		tests: "TestNamed",
	},
}
