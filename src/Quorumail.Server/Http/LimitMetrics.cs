using Prometheus;

namespace Quorumail.Server.Http;

/// <summary>What is granted of the limits that all nodes share, read whenever someone scrapes; the same on every node that has caught up.</summary>
internal sealed class LimitMetrics
{
    private readonly ServerStatus _status;
    private readonly Gauge _granted;
    private readonly Gauge _keys;
    private readonly Gauge _capacity;

    public LimitMetrics(ServerStatus status, CollectorRegistry registry)
    {
        _status = status;
        var factory = Prometheus.Metrics.WithCustomRegistry(registry);
        _granted = factory.CreateGauge("smtp_limit_granted", "Tokens or connections of a limit that the cluster has granted to its nodes and whose window or lease has not ended, of all keys.", ["limit"]);
        _keys = factory.CreateGauge("smtp_limit_keys", "Keys (addresses, users, domains) of a limit for which something is granted.", ["limit"]);
        _capacity = factory.CreateGauge("smtp_limit_capacity", "What a limit allows for each key.", ["limit"]);
    }

    /// <summary>Sets every figure to what it is now.</summary>
    public void Update()
    {
        var limits = _status.Queue?.Limits() ?? [];
        foreach (var gauge in (Gauge[])[_granted, _keys, _capacity])
        {
            foreach (var labels in gauge.GetAllLabelValues().ToArray())
            {
                if (!limits.Any(usage => string.Equals(usage.Limit.Name, labels[0], StringComparison.Ordinal)))
                {
                    gauge.RemoveLabelled(labels);
                }
            }
        }

        foreach (var usage in limits)
        {
            var name = usage.Limit.Name;
            _granted.WithLabels(name).Set(usage.Granted);
            _keys.WithLabels(name).Set(usage.Keys);
            _capacity.WithLabels(name).Set(usage.Limit.Capacity);

            // Shown from the beginning, so that the first refusal is seen to be an increase.
            Metrics.LimitRefusals.WithLabels(name);
        }
    }
}
