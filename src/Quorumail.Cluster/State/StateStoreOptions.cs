namespace Quorumail.Cluster.State;

/// <summary>Limits of a <see cref="StateStore"/>.</summary>
internal sealed record StateStoreOptions
{
    /// <summary>Updates that wait for their commit at once; further callers wait for their turn. The guide's <c>replication_buffer_size</c>.</summary>
    public int BufferSize { get; init; } = 10_000;

    /// <summary>How long a write waits for its turn and its commit together: an election fits in.</summary>
    public TimeSpan WriteTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a read waits to be fresh.</summary>
    public TimeSpan ReadTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How often the leader looks for expired keys that no command has removed.</summary>
    public TimeSpan SweepInterval { get; init; } = TimeSpan.FromSeconds(1);
}
