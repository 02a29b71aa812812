// Package v2 registers the resources of a manifest.
package v2

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// RegisterResource fails: the sandbox's provider serves single resources and helm.v3.Release.
func RegisterResource(
	_ *pulumi.Context, apiVersion, kind, name string, _ pulumi.Input, _ ...pulumi.ResourceOption,
) (pulumi.CustomResource, error) {
	return nil, fmt.Errorf(
		"%s %s of %s: helm.v4.Chart, yaml.v2 and kustomize.v2 are not in the sandbox's provider", kind, name, apiVersion)
}
