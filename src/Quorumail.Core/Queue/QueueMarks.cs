namespace Quorumail.Core.Queue;

/// <summary>The few numbers of the queue's state that belong to no single message.</summary>
/// <param name="LastEpoch">The highest epoch given so far.</param>
/// <param name="NextSuspect">Sequence of the next suspect.</param>
/// <param name="NextTombstone">Sequence of the next tombstone.</param>
/// <param name="IdFloor">Milliseconds of the latest id whose tombstone was forgotten: an Enqueue at or below it is refused; -1 before the first.</param>
/// <param name="SuspectsOverflowed">Suspects dropped because the list was full, ever.</param>
public readonly record struct QueueMarks(
    long LastEpoch,
    long NextSuspect,
    long NextTombstone,
    long IdFloor,
    long SuspectsOverflowed)
{
    /// <summary>Sequence of the next message that comes to its end.</summary>
    public long NextFinished { get; init; } = 0;

    /// <summary>Milliseconds of the latest id that was finished and is no longer remembered; -1 before the first.</summary>
    public long FinishedFloor { get; init; } = -1;

    /// <summary>Sequence of the next message that an operator removes.</summary>
    public long NextRemoval { get; init; } = 0;

    /// <summary>Of a new queue.</summary>
    public static QueueMarks Initial { get; } = new(0, 0, 0, -1, 0);
}
