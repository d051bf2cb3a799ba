// Package recipes is a place for its subdirectories. Each has the few lines by which a client that
// isn't an Azure SDK's authenticates with a managed identity: lines to copy, not to import. Its
// test runs them against the service's protocol, and beside them what is often written by hand.
// docs/recipes.md in the repository has the table of all services.
package recipes
