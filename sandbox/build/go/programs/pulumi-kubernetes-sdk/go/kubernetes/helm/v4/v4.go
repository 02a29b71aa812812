// Package v4 has the inputs of helm.v4.Chart.
package v4

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

type PostRenderer struct {
	Command string   `pulumi:"command"`
	Args    []string `pulumi:"args"`
}

type RepositoryOpts struct {
	CaFile   pulumi.AssetOrArchive `pulumi:"caFile"`
	CertFile pulumi.AssetOrArchive `pulumi:"certFile"`
	KeyFile  pulumi.AssetOrArchive `pulumi:"keyFile"`
	Password *string               `pulumi:"password"`
	Repo     *string               `pulumi:"repo"`
	Username *string               `pulumi:"username"`
}

type (
	PostRendererInput   = pulumi.Input
	RepositoryOptsInput = pulumi.Input
)
