using Quorumail.Core.Mail;

namespace Quorumail.Server.Queue.History;

/// <summary>One step of a message's way, as it is stored: whole by itself, so that it can be told when the message is long gone.</summary>
/// <param name="Id">The message.</param>
/// <param name="Index">The log's entry that made it.</param>
/// <param name="Place">Which command of that entry.</param>
/// <param name="At">Milliseconds of cluster time.</param>
/// <param name="Kind">What happened.</param>
internal sealed record HistoryEvent(QueueId Id, long Index, int Place, long At, HistoryEventKind Kind)
{
    /// <summary>Number of the attempt; 0 if it was none.</summary>
    public int Attempt { get; init; }

    /// <summary>Empty for the null sender.</summary>
    public string ReversePath { get; init; } = "";

    /// <summary>Octets of the stored message; 0 if that is not known.</summary>
    public long Size { get; init; }

    /// <summary>The node that delivered; empty if none did.</summary>
    public string Node { get; init; } = "";

    /// <summary>Whether the message has left the queue with it.</summary>
    public bool IsOver { get; init; }

    /// <summary>Why an operator deleted it.</summary>
    public string Reason { get; init; } = "";

    /// <summary>Of the recipients that it is about.</summary>
    public IReadOnlyList<HistoryResult> Results { get; init; } = [];
}
