using Quorumail.Core.Mail;

namespace Quorumail.Simulation;

/// <summary>One try of a client to hand over a message.</summary>
internal sealed class Submission(QueueId id, Envelope envelope)
{
    public QueueId Id { get; } = id;

    public Envelope Envelope { get; } = envelope;

    public SubmissionAnswer Answer { get; set; }

    /// <summary>The server knows that its 250 was not read, and has told the log.</summary>
    public bool IsReportedUnread { get; set; }
}

/// <summary>What the client saw.</summary>
internal enum SubmissionAnswer
{
    /// <summary>Nothing: the connection was lost.</summary>
    None = 0,

    /// <summary>250.</summary>
    Taken,

    /// <summary>451.</summary>
    TryLater,
}
