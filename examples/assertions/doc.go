// Package assertions has the functions by which an Entra application proves who it is with what
// other systems vouch for, each for its real client: SPIFFE's workload API, Kubernetes'
// TokenRequest and Vault. It also shows the other way: what AWS and Google Cloud take from an
// identity of Azure. Each is a few lines to copy; only those who use such a system want its module.
package assertions
