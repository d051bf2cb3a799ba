// Command azcore is the smallest program that sends a request through azcore, as every client of
// the Azure SDK does. Its size is what a credential adds to.
package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

func main() {
	client, err := azcore.NewClient("oneshot", "v0.0.0", runtime.PipelineOptions{}, nil)
	if err != nil {
		panic(err)
	}
	req, err := runtime.NewRequest(context.Background(), http.MethodGet, "http://127.0.0.1:9/")
	if err != nil {
		panic(err)
	}
	resp, err := client.Pipeline().Do(req)
	fmt.Println(resp, err)
}
