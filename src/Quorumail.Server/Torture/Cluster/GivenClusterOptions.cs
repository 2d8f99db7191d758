using Quorumail.Core.Cluster;

namespace Quorumail.Server.Torture.Cluster;

/// <summary>What a user says of a cluster.</summary>
internal sealed record GivenClusterOptions
{
    /// <summary>Where its nodes take mail.</summary>
    public required IReadOnlyList<PeerAddress> Nodes { get; init; }

    /// <summary>Where the sink is, as the nodes are told.</summary>
    public required PeerAddress Sink { get; init; }

    /// <summary>Administration interfaces of its nodes.</summary>
    public required IReadOnlyList<Uri> Api { get; init; }

    /// <summary>What they ask for; empty: nothing.</summary>
    public required string Token { get; init; }

    /// <summary>A shell command that makes a fault; null: the user makes them.</summary>
    public string? Break { get; init; }

    /// <summary>A shell command that undoes it.</summary>
    public string? Mend { get; init; }
}
