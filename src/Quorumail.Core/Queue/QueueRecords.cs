namespace Quorumail.Core.Queue;

/// <summary>The persisted form of a queue, as read back at start or from a snapshot. Sequences may be streams; each is read once, in the order below.</summary>
/// <param name="Marks">As last persisted, or <see cref="QueueMarks.Initial"/>.</param>
/// <param name="OwnerEpochs">Any order.</param>
/// <param name="Tombstones">In order of their sequence.</param>
/// <param name="Suspects">In order of their sequence.</param>
/// <param name="Messages">Any order.</param>
public sealed record QueueRecords(
    QueueMarks Marks,
    IEnumerable<KeyValuePair<string, long>> OwnerEpochs,
    IEnumerable<Tombstone> Tombstones,
    IEnumerable<ListedSuspect> Suspects,
    IEnumerable<QueuedMessage> Messages)
{
    /// <summary>In order of their sequence (not of their slot).</summary>
    public IEnumerable<FinishedId> Finished { get; init; } = [];

    /// <summary>Null for a queue that was never told its members.</summary>
    public QueueMembers? Members { get; init; }

    /// <summary>Any order.</summary>
    public IEnumerable<Suspension> Suspensions { get; init; } = [];

    /// <summary>In order of their sequence.</summary>
    public IEnumerable<Removal> Removals { get; init; } = [];

    /// <summary>In order of their epoch; read before the messages. None in a snapshot, whose messages are as they stand.</summary>
    public IEnumerable<Placement> Placements { get; init; } = [];
}
