using Quorumail.Core.Queue;

namespace Quorumail.Core.Delivery;

/// <summary>One transaction to make: a message and recipients of it that go to the same destination.</summary>
public sealed class DeliveryJob
{
    internal DeliveryJob(QueuedMessage message, Destination destination, int[] recipients, int attempt, int turn, DeliveryReply? deadline)
    {
        Message = message;
        Destination = destination;
        Indexes = recipients;
        Attempt = attempt;
        Turn = turn;
        Deadline = deadline;
    }

    /// <summary>The message as it was when the job was taken.</summary>
    public QueuedMessage Message { get; }

    /// <summary>Where to.</summary>
    public Destination Destination { get; }

    /// <summary>Indexes into the message's recipients, ascending; at least one.</summary>
    public IReadOnlyList<int> Recipients => Indexes;

    /// <summary>Number of the attempt: higher than any that these recipients have seen.</summary>
    public int Attempt { get; }

    /// <summary>
    /// If not null, do not connect: the destination can't be tried now, and these recipients' delay notice or expiry is
    /// due. End the attempt at once; this is the reply for recipients that have none of their own yet.
    /// </summary>
    public DeliveryReply? Deadline { get; }

    internal int[] Indexes { get; }

    /// <summary>How many jobs were taken on the same connection before.</summary>
    internal int Turn { get; }
}
