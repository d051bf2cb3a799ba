package main

// areas are all mutations, in the report's order.
var areas = []area{
	{"Which identity is asked for, and which one comes back", identityMutations},
	{"Which host this is", detectionMutations},
	{"Answers that are tokens, and answers that are not the host's", answerMutations},
	{"Secrets, and the way to the endpoint", transportMutations},
	{"Azure Arc and Service Fabric", challengeMutations},
	{"Workload identity", workloadMutations},
	{"Federated credentials", federatedMutations},
	{"Jobs of GitHub Actions and Azure Pipelines", jobMutations},
	{"The cache, and its flights", cacheMutations},
	{"Renewal", renewalMutations},
	{"Code of the user's, and options of others", usercodeMutations},
	{"Tries, waits and limits", retryMutations},
	{"What passes, and what doesn't", verdictMutations},
	{"Options and scopes", optionMutations},
	{"Callers that are no Azure SDK client", callerMutations},
	{"Chains and the default credential", chainMutations},
	{"Developers' tools", toolMutations},
	{"The fakes of identitytest", fakeMutations},
}
