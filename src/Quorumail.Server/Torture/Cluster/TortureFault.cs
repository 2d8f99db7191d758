namespace Quorumail.Server.Torture.Cluster;

/// <summary>A fault that is about to be made.</summary>
internal sealed record TortureFault
{
    /// <summary>What is done to whom.</summary>
    public required string Name { get; init; }

    /// <summary>The same without names of nodes.</summary>
    public required string Kind { get; init; }

    /// <summary>Whether nobody can answer 250 meanwhile, because no majority is left.</summary>
    public bool IsStop { get; init; }

    /// <summary>From its making to its mending.</summary>
    public required TimeSpan Lasts { get; init; }

    /// <summary>Makes it.</summary>
    public required Func<CancellationToken, Task> BreakAsync { get; init; }

    /// <summary>Undoes it.</summary>
    public required Func<CancellationToken, Task> MendAsync { get; init; }
}
