using System.Reflection;

namespace Quorumail.Server.Http;

/// <summary>What the server says of itself: alive as soon as it listens, ready once it can promise a 250.</summary>
internal sealed class ServerStatus
{
    private readonly TimeProvider _clock;
    private readonly long _started;
    private volatile string? _phase = "starting";
    private volatile QueueView? _queue;
    private volatile IClusterView? _cluster;
    private volatile Func<string?>[] _obstacles = [];

    public ServerStatus(TimeProvider clock)
    {
        _clock = clock;
        _started = clock.GetTimestamp();
    }

    /// <summary>The version, without build details.</summary>
    public static string Version { get; } =
        typeof(ServerStatus).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0";

    /// <summary>Time since start.</summary>
    public TimeSpan Uptime => _clock.GetElapsedTime(_started);

    /// <summary>The queue, or null before it is open.</summary>
    public QueueView? Queue => _queue;

    /// <summary>The cluster, or null before it is known.</summary>
    public IClusterView? Cluster => _cluster;

    /// <summary>Why no mail is accepted; empty when ready.</summary>
    public IReadOnlyList<string> NotReadyReasons()
    {
        if (_phase is { } phase)
        {
            return [phase];
        }

        var reasons = new List<string>();
        if (_cluster?.Obstacle is { } obstruction)
        {
            reasons.Add(obstruction);
        }

        foreach (var obstacle in _obstacles)
        {
            if (obstacle() is { } reason)
            {
                reasons.Add(reason);
            }
        }

        return reasons;
    }

    /// <summary>Enters a phase in which no mail is accepted; null: everything runs.</summary>
    public void SetPhase(string? phase) => _phase = phase;

    /// <summary>Opens the view on the cluster; from now on its obstacle stands in the way of accepting mail.</summary>
    public void Open(IClusterView cluster) => _cluster = cluster;

    /// <summary>Opens the view on the queue, with what may stand in the way of accepting mail from now on.</summary>
    public void Open(QueueView queue, params Func<string?>[] obstacles)
    {
        _obstacles = obstacles;
        _queue = queue;
    }
}
