// Pulumi's Kubernetes provider. Its own main embeds schemas that are generated in its repository and are not part of
// the Go module; the Python SDK does not ask for them.
package main

import "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"

var version string // set by the linker

func main() {
	provider.Serve("kubernetes", version, []byte(`{"name": "kubernetes"}`), []byte(`{}`))
}
