// What the Kubernetes provider uses of its own Go SDK. The whole SDK, a type for every kind of every API version, is a
// third of the provider's build; it serves helm.v4.Chart, yaml.v2 and kustomize.v2 alone.
module github.com/pulumi/pulumi-kubernetes/sdk/v4

go 1.26

require github.com/pulumi/pulumi/sdk/v3 v3.246.0
