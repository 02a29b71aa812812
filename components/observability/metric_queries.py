"""The workshop's two metric templates, as PromQL over Istio's standard metrics.

The placeholders are Flagger's template functions, filled in by the controller at each check: ``{{ namespace }}``,
``{{ target }}`` and ``{{ interval }}``.
"""

from __future__ import annotations

_TRAFFIC = (
    'reporter="destination", destination_workload_namespace="{{ namespace }}", destination_workload=~"{{ target }}"'
)

ERROR_RATE = f"""\
100 * (
  sum(rate(istio_requests_total{{{_TRAFFIC}, response_code=~"5.*"}}[{{{{ interval }}}}]))
  or vector(0)
)
/
sum(rate(istio_requests_total{{{_TRAFFIC}}}[{{{{ interval }}}}]))
"""
"""Percent of requests answered 5xx, 0 to 100.

The workshop's own query is ``100 - good / all * 100``. When every answer is a 5xx there is no good series at all, the
division has no result, and Flagger sees "no values". Counting the bad, with zero for none, reads 100 there, 0 when no
answer is a 5xx, and still nothing when there is no traffic, since then the divisor is missing or zero.
"""

LATENCY = f"""\
histogram_quantile(0.99,
  sum(rate(istio_request_duration_milliseconds_bucket{{{_TRAFFIC}}}[{{{{ interval }}}}])) by (le)
)
"""
"""The 99th percentile of the request duration, in milliseconds."""
