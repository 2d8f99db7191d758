using Quorumail.Core.Queue;

namespace Quorumail.Core.Delivery;

/// <summary>
/// One transaction to make: a message and recipients of it that go to the same destination. Or a deadline to report, of all recipients
/// of a message for which it has come.
/// </summary>
public sealed class DeliveryJob
{
    internal DeliveryJob(QueuedMessage message, Destination destination, int[] recipients, int attempt, int turn, IReadOnlyList<DeliveryReply>? deadlines)
    {
        Message = message;
        Destination = destination;
        Indexes = recipients;
        Attempt = attempt;
        Turn = turn;
        Deadlines = deadlines;
    }

    /// <summary>The message as it was when the job was taken.</summary>
    public QueuedMessage Message { get; }

    /// <summary>Where to; of a deadline, where the first of its recipients goes.</summary>
    public Destination Destination { get; }

    /// <summary>Indexes into the message's recipients, ascending; at least one.</summary>
    public IReadOnlyList<int> Recipients => Indexes;

    /// <summary>Number of the attempt: higher than any that these recipients have seen.</summary>
    public int Attempt { get; }

    /// <summary>
    /// If not null, do not connect: these recipients can't be tried now, wherever they go, and their delay notice or expiry is
    /// due. End the attempt at once; these are the replies, one for each recipient, for those that have none of their own yet.
    /// </summary>
    public IReadOnlyList<DeliveryReply>? Deadlines { get; }

    internal int[] Indexes { get; }

    /// <summary>How many jobs were taken on the same connection before.</summary>
    internal int Turn { get; }
}
