using Quorumail.Core.Queue;
using Quorumail.Server.Limits;

namespace Quorumail.Server.Http;

/// <summary>What the administration interface sees of an open queue.</summary>
/// <param name="Counts">Messages by state.</param>
/// <param name="CommitIndex">Of the replicated log.</param>
/// <param name="AppliedIndex">Of the replicated log.</param>
internal sealed record QueueView(
    Func<QueueCounts> Counts,
    Func<long> CommitIndex,
    Func<long> AppliedIndex)
{
    /// <summary>What operators look up and change.</summary>
    public QueueAdministration Administration { get; init; } = QueueAdministration.Empty;

    /// <summary>Copies and owners of the queue's messages; all zero where there is one node alone.</summary>
    public Func<CopyCounts> Copies { get; init; } = static () => default;

    /// <summary>Messages that this node delivers.</summary>
    public Func<int> Owned { get; init; } = static () => 0;

    /// <summary>Copies that a message needs before its 250, and how many disks are a majority.</summary>
    public Func<(int MinCopies, int Majority)> Durability { get; init; } = static () => (1, 1);

    /// <summary>What is to be known wherever the status is shown; null: nothing, 250 means a majority.</summary>
    public string? Weakness => Durability() is var (copies, majority) && copies < majority
        ? $"250 means {(copies == 1 ? "1 disk" : $"{copies} disks")}, fewer than a majority ({majority}), for messages that do not travel in the log ([cluster] min_copies): they are lost with {(copies == 1 ? "it" : "them")}"
        : null;

    /// <summary>The limits that all nodes share, with what is granted of them.</summary>
    public Func<IReadOnlyList<LimitUsage>> Limits { get; init; } = static () => [];

    /// <summary>Term of the replicated log.</summary>
    public Func<long> Term { get; init; } = () => 0;
}
