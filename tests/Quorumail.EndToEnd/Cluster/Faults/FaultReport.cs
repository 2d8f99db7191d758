using System.Globalization;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>How the cluster went through a fault, or some at once.</summary>
internal sealed record FaultReport
{
    /// <summary>The faults' names.</summary>
    public required string Name { get; init; }

    /// <summary>The longest time without an acknowledged write, anywhere, until all was well again.</summary>
    public required TimeSpan Gap { get; init; }

    /// <summary>From the fault to the first write that another node than the old leader acknowledged; null if the leader remained.</summary>
    public required TimeSpan? Takeover { get; init; }

    /// <summary>From the end of the fault until all nodes served and acknowledged writes.</summary>
    public required TimeSpan Recovery { get; init; }

    /// <summary>The term before and after.</summary>
    public required (long Before, long After) Terms { get; init; }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Name}: term {Terms.Before} -> {Terms.After}, longest gap {Gap.TotalSeconds:0.00} s, {(Takeover is { } takeover ? $"taken over after {takeover.TotalSeconds:0.00} s, " : "")}all serve {Recovery.TotalSeconds:0.00} s after its end");
}
