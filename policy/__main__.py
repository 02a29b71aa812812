"""Where Pulumi starts the policy pack."""

from canary_policy.pack import serve

serve()
