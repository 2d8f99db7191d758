using Prometheus;

namespace Quorumail.Server.Http;

/// <summary>The cluster's figures, read whenever someone scrapes. The first four are the guide's, with its HELP lines.</summary>
internal sealed class ClusterMetrics
{
    private readonly ServerStatus _status;
    private readonly Gauge _nodes;
    private readonly Gauge _healthy;
    private readonly Counter _elections;
    private readonly Counter _replications;
    private readonly Gauge _nodeStatus;
    private readonly Gauge _quorum;
    private readonly Gauge _term;
    private readonly Gauge _pending;
    private readonly Counter _failed;
    private readonly Gauge _lag;
    private readonly Gauge _roundTrip;
    private readonly Counter _frames;
    private readonly Counter _refused;

    public ClusterMetrics(ServerStatus status)
    {
        _status = status;
        var factory = Prometheus.Metrics.WithCustomRegistry(Metrics.Registry);
        _nodes = factory.CreateGauge("smtp_cluster_nodes_total", "Total number of nodes in cluster");
        _healthy = factory.CreateGauge("smtp_cluster_healthy_nodes", "Number of healthy nodes");
        _elections = factory.CreateCounter("smtp_cluster_leader_elections_total", "Total leader elections");
        _replications = factory.CreateCounter("smtp_cluster_state_replications_total", "State replication operations");
        _nodeStatus = factory.CreateGauge("smtp_cluster_node_status", "Status of a node as this node sees it: 0 healthy, 1 degraded, 2 unhealthy, 3 disconnected.", ["node"]);
        _quorum = factory.CreateGauge("smtp_cluster_quorum", "1 while a leader with a majority is known, else 0.");
        _term = factory.CreateGauge("smtp_cluster_term", "Current term.");
        _pending = factory.CreateGauge("smtp_cluster_pending_updates", "Updates of shared state asked for here that wait for their commit.");
        _failed = factory.CreateCounter("smtp_cluster_failed_replications_total", "Updates of shared state asked for here that were refused or whose outcome is unknown.");
        _lag = factory.CreateGauge("smtp_cluster_replication_lag_entries", "Log entries that a node lags behind.", ["node"]);
        _roundTrip = factory.CreateGauge("smtp_cluster_round_trip_seconds", "Time that a question to a node and its answer take, moving average.", ["node"]);
        _frames = factory.CreateCounter("smtp_cluster_frames_total", "Frames on the cluster port, by type and direction.", ["type", "direction"]);
        _refused = factory.CreateCounter("smtp_cluster_refused_handshakes_total", "Connections to the cluster port that were refused, by reason.", ["reason"]);
    }

    /// <summary>Sets every figure to what it is now.</summary>
    public void Update()
    {
        if (_status.Cluster is not { } cluster)
        {
            return;
        }

        var stats = cluster.Stats;
        _nodes.Set(stats.TotalNodes);
        _healthy.Set(stats.HealthyNodes);
        _elections.IncTo(cluster.LeaderElections);
        var replication = cluster.Replication;
        _replications.IncTo(replication.Replications);
        _pending.Set(replication.Pending);
        _failed.IncTo(replication.Failed);
        _quorum.Set(cluster.HasQuorum ? 1 : 0);
        _term.Set(cluster.Term);
        UpdateNodes(cluster);
        foreach (var frames in cluster.Frames)
        {
            _frames.WithLabels(frames.Type, "sent").IncTo(frames.Sent);
            _frames.WithLabels(frames.Type, "received").IncTo(frames.Received);
        }

        foreach (var (reason, count) in cluster.RefusedHandshakes)
        {
            _refused.WithLabels(reason).IncTo(count);
        }
    }

    private void UpdateNodes(IClusterView cluster)
    {
        var nodes = cluster.Nodes;
        foreach (var gauge in (Gauge[])[_nodeStatus, _lag, _roundTrip])
        {
            foreach (var labels in gauge.GetAllLabelValues().ToArray())
            {
                if (!nodes.Any(node => string.Equals(node.Id, labels[0], StringComparison.Ordinal)))
                {
                    gauge.RemoveLabelled(labels);
                }
            }
        }

        foreach (var node in nodes)
        {
            _nodeStatus.WithLabels(node.Id).Set((int)node.Status);
            if (node.Lag is { } lag)
            {
                _lag.WithLabels(node.Id).Set(lag);
            }

            if (node.RoundTrip is { } roundTrip)
            {
                _roundTrip.WithLabels(node.Id).Set(roundTrip.TotalSeconds);
            }
        }
    }
}
