using Quorumail.Server.Torture.Ledger;

namespace Quorumail.Server.Torture.Report;

/// <summary>What a torture showed.</summary>
internal sealed record TortureReport
{
    /// <summary>The seed.</summary>
    public required int Seed { get; init; }

    /// <summary>How many nodes were sent mail.</summary>
    public required int Nodes { get; init; }

    /// <summary>Connections at once to each.</summary>
    public required int Sessions { get; init; }

    /// <summary>From the first message until the account was settled.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>Whether it was told to stop before its time.</summary>
    public bool IsCutShort { get; init; }

    /// <summary>Messages by the answer that they got.</summary>
    public required IReadOnlyDictionary<SendOutcome, int> Messages { get; init; }

    /// <summary>What became of them.</summary>
    public required LedgerVerdict Ledger { get; init; }

    /// <summary>Copies that came to the sink and were none of this run's: notices, leftovers of another run.</summary>
    public int Others { get; init; }

    /// <summary>Messages answered 250 in a second, as long as no fault was made.</summary>
    public required double CalmRate { get; init; }

    /// <summary>The same afterwards, under faults; null: it was not measured.</summary>
    public required double? FaultRate { get; init; }

    /// <summary>The longest time in which no node answered 250, faults or not.</summary>
    public required TimeSpan LongestGap { get; init; }

    /// <summary>The faults.</summary>
    public required IReadOnlyList<FaultLine> Faults { get; init; }

    /// <summary>Broken promises that no ledger shows: a node that ended by itself, a queue that does not become empty.</summary>
    public IReadOnlyList<string> Failures { get; init; } = [];

    /// <summary>Why the run does not show what it is to show, though nothing is known to be broken.</summary>
    public IReadOnlyList<string> Doubts { get; init; } = [];

    /// <summary>The messages of the broken promises, with the server's answer to each.</summary>
    public IReadOnlyList<string> Evidence { get; init; } = [];

    /// <summary>Where data and logs were left; null: nowhere.</summary>
    public string? Kept { get; init; }

    /// <summary>A promise was broken.</summary>
    public bool IsBroken => !Ledger.IsGreen || Failures.Count > 0;

    /// <summary>Every promise was kept, and the run shows it.</summary>
    public bool IsGreen => !IsBroken && Doubts.Count == 0;

    /// <summary>Throughput under faults in parts of that without; null: one of them is not known.</summary>
    public double? Ratio => FaultRate is { } rate && CalmRate > 0 ? rate / CalmRate : null;

    /// <summary>Messages that got an answer.</summary>
    public int Count(SendOutcome outcome) => Messages.GetValueOrDefault(outcome);
}
