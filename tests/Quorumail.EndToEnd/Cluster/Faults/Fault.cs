namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>One kind of trouble. The table of all is <see cref="FaultTable"/>.</summary>
/// <param name="Name">What it is called in tests, ledgers and documents.</param>
/// <param name="Does">What happens.</param>
/// <param name="Heals">How it ends.</param>
/// <param name="BeginAsync">Makes it happen, and tells the scene how it is undone.</param>
internal sealed record Fault(string Name, string Does, string Heals, Func<FaultScene, Task> BeginAsync)
{
    /// <summary>Whether another kind is much like it: this one is drawn in tortures only.</summary>
    public bool IsVariant { get; init; }

    /// <summary>Whether it is one of the network: two of those are never made at once.</summary>
    public bool IsOfNetwork { get; init; }

    /// <summary>Whether the leader must remain the leader, in its term.</summary>
    public bool KeepsLeader { get; init; }

    /// <summary>Whether nobody can acknowledge anything while it lasts.</summary>
    public bool StopsAll { get; init; }

    /// <summary>Whether no node may be taken for lost: it goes on, is heard, or has given up all that it had.</summary>
    public bool LosesNobody { get; init; }

    /// <summary>Whether a node may say that it ends by itself, and why: its disk has failed, or is full, or holds what was not written.</summary>
    public bool StopsNode { get; init; }

    /// <summary>Whether a disk with all that it held is lost: it is not made as long as another disk's loss is not made good.</summary>
    public bool TakesDisk { get; init; }

    /// <summary>The longest that no write is acknowledged anywhere while it lasts.</summary>
    public TimeSpan GapMax { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long it lasts where each kind is shown once.</summary>
    public TimeSpan Lasts { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How long it lasts at most in a torture.</summary>
    public TimeSpan LastsMax { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Why it can't be made on this machine; null if it can.</summary>
    public Func<string?> Obstacle { get; init; } = static () => null;

    /// <inheritdoc/>
    public override string ToString() => Name;
}
