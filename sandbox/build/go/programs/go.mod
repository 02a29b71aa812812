// Every Go program of the sandbox but the Python language host, with one version of whatever they share: it is compiled
// once. A change here builds all of them again. Checksums are those of Go's checksum database.
module sandbox.local/programs

go 1.26.6

require (
	github.com/containerd/containerd/v2 v2.2.9
	github.com/coredns/coredns v1.15.0
	github.com/fluxcd/flagger v1.36.1
	github.com/fluxcd/pkg/ssa v0.73.0 // the first for the Kubernetes client below; the provider asks for an older one
	github.com/prometheus/prometheus v0.315.1 // 3.15.1: the next one asks for a newer Go
	github.com/pulumi/pulumi-kubernetes/provider/v4 v4.0.0-20260115033456-f47bc2d6f199 // release 4.25.0, whose tag is no Go version
	github.com/pulumi/pulumi/pkg/v3 v3.246.0
	github.com/rakyll/hey v0.1.5
	github.com/stefanprodan/podinfo v1.8.1-0.20250910200901-e86405a8674e // reports the version it is built as
	go.etcd.io/etcd/server/v3 v3.7.2 // the one of the API that CoreDNS asks for
	istio.io/istio v0.0.0-20260827124520-eed52ebb66ad // 1.31.0, whose tag is no Go version
	k8s.io/kubernetes v1.36.3
)

replace (
	github.com/pulumi/pulumi-kubernetes/sdk/v4 => ./pulumi-kubernetes-sdk
	sigs.k8s.io/structured-merge-diff/v4 => ./structured-merge-diff
)

// Kubernetes' own go.mod replaces these by folders of its repository; here they are what is published of it.
replace (
	k8s.io/api => k8s.io/api v0.36.3
	k8s.io/apiextensions-apiserver => k8s.io/apiextensions-apiserver v0.36.3
	k8s.io/apimachinery => k8s.io/apimachinery v0.36.3
	k8s.io/apiserver => k8s.io/apiserver v0.36.3
	k8s.io/cli-runtime => k8s.io/cli-runtime v0.36.3
	k8s.io/client-go => k8s.io/client-go v0.36.3
	k8s.io/cloud-provider => k8s.io/cloud-provider v0.36.3
	k8s.io/cluster-bootstrap => k8s.io/cluster-bootstrap v0.36.3
	k8s.io/code-generator => k8s.io/code-generator v0.36.3
	k8s.io/component-base => k8s.io/component-base v0.36.3
	k8s.io/component-helpers => k8s.io/component-helpers v0.36.3
	k8s.io/controller-manager => k8s.io/controller-manager v0.36.3
	k8s.io/cri-api => k8s.io/cri-api v0.36.3
	k8s.io/cri-client => k8s.io/cri-client v0.36.3
	k8s.io/cri-streaming => k8s.io/cri-streaming v0.36.3
	k8s.io/csi-translation-lib => k8s.io/csi-translation-lib v0.36.3
	k8s.io/dynamic-resource-allocation => k8s.io/dynamic-resource-allocation v0.36.3
	k8s.io/endpointslice => k8s.io/endpointslice v0.36.3
	k8s.io/externaljwt => k8s.io/externaljwt v0.36.3
	k8s.io/kms => k8s.io/kms v0.36.3
	k8s.io/kube-aggregator => k8s.io/kube-aggregator v0.36.3
	k8s.io/kube-controller-manager => k8s.io/kube-controller-manager v0.36.3
	k8s.io/kube-proxy => k8s.io/kube-proxy v0.36.3
	k8s.io/kube-scheduler => k8s.io/kube-scheduler v0.36.3
	k8s.io/kubectl => k8s.io/kubectl v0.36.3
	k8s.io/kubelet => k8s.io/kubelet v0.36.3
	k8s.io/metrics => k8s.io/metrics v0.36.3
	k8s.io/mount-utils => k8s.io/mount-utils v0.36.3
	k8s.io/pod-security-admission => k8s.io/pod-security-admission v0.36.3
	k8s.io/sample-apiserver => k8s.io/sample-apiserver v0.36.3
	k8s.io/streaming => k8s.io/streaming v0.36.3
)
