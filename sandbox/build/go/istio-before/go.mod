// Istio's minor version before the one of ../programs, which apps are moved from in the test of an upgrade. Some of what it asks
// for is not served as a module: these are the nearest versions that are.
module sandbox.local/istio-before

go 1.26

require istio.io/istio v0.0.0-20260826214018-9739e10eb9d7 // 1.30.4, whose tag is no Go version

replace (
	github.com/agentgateway/agentgateway/api => github.com/agentgateway/agentgateway/api v0.0.0-20260501213430-773586679f1c
	github.com/envoyproxy/go-control-plane/contrib => github.com/envoyproxy/go-control-plane/contrib v1.36.1-0.20260713214202-ca8ce173c36f
	github.com/envoyproxy/go-control-plane/envoy => github.com/envoyproxy/go-control-plane/envoy v1.38.0
	istio.io/api => istio.io/api v1.30.8
	istio.io/client-go => istio.io/client-go v1.30.8
)
