"""Stand-ins for the Pulumi resource plugins `kubernetes` and `command`, for machines that cannot download the
official ones.

They serve the program in the sandbox, and only there: `install.install` puts them into the sandbox's own PULUMI_HOME,
and puts the official plugin there instead where the user has it. What they serve behaves as the official plugins do:

- every Kubernetes object (typed resources and `apiextensions.CustomResource`) by server-side apply, with a dry run at
  preview, waiting until it is ready, and the annotations `pulumi.com/waitFor`, `skipAwait`, `timeoutSeconds`,
  `patchForce`, `patchFieldManager`, `deletionPropagationPolicy`; refresh, import, replacement of immutable fields,
  autonaming;
- `helm.v3.Release` by the `helm` on PATH; `command.local.Command`; `yaml.ConfigFile` and `yaml.ConfigGroup` (not
  `yaml.v2`).

Everything else is refused by name. Known differences: a Service counts as ready with its first endpoint (official: 10
s later); an Ingress is not waited for; an object of a program that changes its CRD in the same update gets no dry run
at preview; unknown fields of an object are errors; a changed kubeconfig never replaces the provider (set
`clusterIdentifier` for that).

Layers: `install` | `kubernetes`, `command` (main programs) over `service` (gRPC) over `objects`, `release`,
`local_command` (one resource kind each, with IO) over `cluster`, `awaiting`, `helm`, `processes` (IO) over pure
modules (`diff`, `immutable`, `live_inputs`, `metadata`, `readiness`, `wait_for`, `property_path`, `wire`).
"""
