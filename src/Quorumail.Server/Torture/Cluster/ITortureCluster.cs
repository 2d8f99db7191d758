using Quorumail.Server.Torture.Sink;

namespace Quorumail.Server.Torture.Cluster;

/// <summary>What is tortured: a cluster of the torture's own, or a user's.</summary>
internal interface ITortureCluster : IAsyncDisposable
{
    /// <summary>Who is sent mail.</summary>
    IReadOnlyList<TortureNode> Nodes { get; }

    /// <summary>Where the cluster delivers it.</summary>
    SmtpSink Sink { get; }

    /// <summary>Where the cluster is asked about its queue.</summary>
    TortureApi Api { get; }

    /// <summary>How long the queue may take to become empty when no mail comes any more.</summary>
    TimeSpan DrainLimit { get; }

    /// <summary>What went wrong though nobody did it: a promise that is broken.</summary>
    IReadOnlyCollection<string> Failures { get; }

    /// <summary>Where logs and data are, if they are the torture's.</summary>
    string? Directory { get; }

    /// <summary>Makes sure that mail can pass.</summary>
    /// <exception cref="TortureException">It can't.</exception>
    Task StartAsync(CancellationToken token);

    /// <summary>Draws the next fault; null: none is to be made.</summary>
    Task<TortureFault?> DrawAsync(Random random, CancellationToken token);

    /// <summary>Undoes whatever is not undone yet, so that the queue can become empty.</summary>
    Task MendAsync(CancellationToken token);

    /// <summary>Leaves <see cref="Directory"/> when all ends.</summary>
    void Keep();
}
