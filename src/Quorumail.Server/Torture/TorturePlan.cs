namespace Quorumail.Server.Torture;

/// <summary>What a torture does, on whatever cluster.</summary>
internal sealed record TorturePlan
{
    private static readonly TimeSpan LongestCalm = TimeSpan.FromSeconds(15);

    /// <summary>How long mail is sent.</summary>
    public required TimeSpan Duration { get; init; }

    /// <summary>Draws sizes, bodies, the next hop's trouble and the faults.</summary>
    public required int Seed { get; init; }

    /// <summary>Connections at once to each node.</summary>
    public int Sessions { get; init; } = 4;

    /// <summary>Of all recipients, and of the sender.</summary>
    public string Domain { get; init; } = "torture.example";

    /// <summary>Begins the name of every message of this run, and of no other run.</summary>
    public required string Name { get; init; }

    /// <summary>How long no fault is made at first.</summary>
    public TimeSpan Calm => Duration / 4 < LongestCalm ? Duration / 4 : LongestCalm;
}
